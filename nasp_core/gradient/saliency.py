"""How much the loss would notice each candidate's going: FreeDARTS' saliency, in place of a gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nasp_core.gradient.steps import ByRule
from nasp_core.network import Space
from nasp_core.strategy import StepContext
from nasp_core.types import Alpha, Mixture, State, group_names

__all__ = ["Saliency"]


@dataclass(frozen=True)
class Saliency(ByRule):
    """alpha becomes the mean over steps of |dL/dp * p|, p even weights of all candidates (Zhang et al. 2021, eq. 5).

    The slope is of the validation loss at the weights as they are; without weight steps, as they were drawn.
    """

    def remember(self, alpha: Alpha) -> State:
        """Return the number of steps so far."""
        return {"count": 0}

    def step(self, context: StepContext, state: State) -> None:
        """Take the saliency of one more batch into the mean, and step the continuous parameters."""
        space = context.space
        assert isinstance(space, Space)
        even = {
            name: torch.full_like(context.alpha[name], 1.0 / context.alpha[name].shape[1]).requires_grad_()
            for name in group_names(context.alpha)
        }
        weights = [even[group.name] for group in space.groups]
        slopes = self.slopes(context, lambda: context.validation_loss(Mixture(weights=even)), weights, state)
        with torch.no_grad():
            self.move(context, dict(zip(even, slopes, strict=True)), state)

    def move(self, context: StepContext, grads: dict[str, Tensor | None], state: State) -> None:
        """Take |slope / candidates| into the running mean that alpha is."""
        state["count"] += 1
        for name, grad in grads.items():
            tensor = context.alpha[name]
            salience = torch.zeros_like(tensor) if grad is None else (grad / tensor.shape[1]).abs()
            tensor.copy_(tensor + (salience - tensor) / state["count"])  # the first one replaces what alpha began with

"""Gradients by which alpha learns with Adam: which tensors an architecture step moves, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nasp_core.network import Network, Space
from nasp_core.strategy import Gradient, StepContext
from nasp_core.types import Alpha, State

__all__ = ["NEEDS_GRADIENT", "ByAdam", "architecture_tensors", "step_architecture"]

NEEDS_GRADIENT = "a path-wise gradient needs a mixture that alpha's gradient reaches; use relax = OneHot or Softmax"


def architecture_tensors(alpha: Alpha, space: Network) -> list[Tensor]:
    """Return what learns of alpha and the space's continuous architecture parameters, in a fixed order."""
    return [*(tensor for tensor in alpha.values() if tensor.requires_grad), *space.continuous()]


def step_architecture(tensors: Sequence[Tensor], grads: Sequence[Tensor | None], adam: torch.optim.Optimizer) -> None:
    """Take one Adam step on the architecture with the given gradients."""
    for tensor, grad in zip(tensors, grads, strict=True):
        tensor.grad = grad
    adam.step()


@dataclass(frozen=True)
class ByAdam(Gradient):
    """Alpha and the continuous parameters follow one gradient, each by Adam; a subclass says which gradient.

    The continuous architecture parameters learn with `continuous_lr` (None: the same rate).
    """

    lr: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    continuous_lr: float | None = None

    def init(self, alpha: Alpha, space: Space) -> State:
        """Return the state: one Adam over alpha and the continuous parameters."""
        groups: list[dict[str, object]] = []
        learning = [tensor for tensor in alpha.values() if tensor.requires_grad]
        if learning:
            groups.append({"params": learning, "lr": self.lr, "weight_decay": self.weight_decay})
        if space.continuous():
            groups.append(
                {"params": space.continuous(), "lr": self.lr if self.continuous_lr is None else self.continuous_lr}
            )
        return {"adam": torch.optim.Adam(groups, lr=self.lr, betas=self.betas, fused=True)} if groups else {}

    def step(self, context: StepContext, state: State) -> None:
        """Step alpha and the continuous parameters along the gradient."""
        tensors = architecture_tensors(context.alpha, context.space)
        if tensors:
            step_architecture(tensors, self.gradient(context, tensors, state), state["adam"])

    def gradient(self, context: StepContext, tensors: list[Tensor], state: State) -> Sequence[Tensor | None]:
        """Return the gradient of each of the tensors; weights end as they began.

        Args:
            context: What a step may use.
            tensors: Alpha and the continuous parameters.
            state: What `init` returned.

        Returns:
            One of the shape of each tensor; None where there is none.
        """
        raise NotImplementedError

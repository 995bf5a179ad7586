"""FreeDARTS: read the supernet as it was drawn, untrained.  Zhang et al., 2021, arXiv:2106.11542."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts import Argmax, ByRule, Switches, Weights
from nasp_core.strategy import Paper, Schedule, StepContext, Strategy
from nasp_core.types import Alpha, Mixture, State, group_names

__all__ = ["PAPER", "Saliency", "Untrained", "freedarts"]


@dataclass(frozen=True)
class Saliency(ByRule):
    """alpha becomes the mean over steps of |dL/dp * p|, p even weights of all candidates (Zhang et al. 2021, eq. 5).

    The gradient is of the validation loss at the weights as they are; without weight steps, as they were drawn.
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
        gradients = self.gradients(context, lambda: context.validation_loss(Mixture(weights=even)), weights, state)
        with torch.no_grad():
            self.move(context, dict(zip(even, gradients, strict=True)), state)

    def move(self, context: StepContext, grads: dict[str, Tensor | None], state: State) -> None:
        """Take |gradient / candidates| into the running mean that alpha is."""
        state["count"] += 1
        for name, grad in grads.items():
            tensor = context.alpha[name]
            salience = torch.zeros_like(tensor) if grad is None else (grad / tensor.shape[1]).abs()
            tensor.copy_(tensor + (salience - tensor) / state["count"])  # the first one replaces what alpha began with


@dataclass(frozen=True)
class Untrained(Schedule):
    """Never train the weights; `rounds` architecture steps on fresh ones, and then nothing more."""

    rounds: int = 10

    gives: ClassVar[frozenset[str]] = frozenset({"untrained"})
    least: ClassVar[dict[str, float]] = {"rounds": 1}

    def arch_step_due(self, step: int, progress: float) -> bool:
        """Return whether there are rounds left."""
        return step < self.rounds

    def weight_step_due(self, step: int, progress: float) -> bool:
        """Return False."""
        return False


PAPER = Paper(
    title="Differentiable Architecture Search Meets Network Pruning at Initialization",
    authors="Miao Zhang, Steven Su, Shirui Pan, Xiaojun Chang, Wei Huang, Bin Yang, Gholamreza Haffari",
    venue="arXiv preprint",
    year=2021,
    arxiv="2106.11542",
)


def freedarts(*, rounds: int = 10) -> Strategy:
    """Score each candidate by |dL/dp * p| at even weights p on fresh weights, over `rounds` batches; take the best.

    Parts: domain=Switches, relax=Weights, gradient=Saliency, select=Argmax; schedule Untrained.
    Shapes: alpha `[choices, candidates]` float32, the mean saliency; loss scalar, mean per batch.
    Departs from the paper: the loss is the task's, on validation batches (there also a data-agnostic one); candidates
    are not removed between rounds.
    Fails when: candidates have no weights of their own, as interaction functions: what is largest at random weights
    says little.
    """
    return Strategy(
        domain=Switches(),
        relax=Weights(),
        gradient=Saliency(),
        select=Argmax(),
        schedules=(Untrained(rounds),),
        name="freedarts",
        papers=(PAPER,),
    )

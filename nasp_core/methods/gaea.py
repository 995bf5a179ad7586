"""GAEA: multiplicative steps on the simplex.  Li et al., ICLR 2021, arXiv:2004.07802."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nasp_core.parts import Argmax, ByRule, Simplex, Weights
from nasp_core.parts.gradients import NEEDS_GRADIENT
from nasp_core.strategy import Paper, StepContext, Strategy
from nasp_core.types import State

__all__ = ["PAPER", "Exponentiated", "gaea"]


@dataclass(frozen=True)
class Exponentiated(ByRule):
    """p <- p exp(-lr g) / sum, g the validation gradient (Li et al. 2021, arXiv:2004.07802, algorithm 1).

    Mirror descent under the entropy: a step changes probabilities by factors, so it favours sparse ones.
    """

    lr: float = 0.1

    needs: ClassVar[dict[str, str]] = {
        "gradient": NEEDS_GRADIENT,
        "simplex": "exponentiated steps need probabilities; use domain = Simplex and relax = Weights",
    }

    def move(self, context: StepContext, grads: dict[str, Tensor | None], state: State) -> None:
        """Multiply each probability by exp(-lr * gradient) and normalise each choice."""
        for name, grad in grads.items():
            if grad is not None:
                p = context.alpha[name]
                # the largest exponent of a row is 0: nothing overflows, and the ratio is the same
                factor = -self.lr * grad
                p.mul_((factor - factor.amax(-1, keepdim=True)).exp())
                p.div_(p.sum(-1, keepdim=True))


PAPER = Paper(
    title="Geometry-Aware Gradient Algorithms for Neural Architecture Search",
    authors="Liam Li, Mikhail Khodak, Maria-Florina Balcan, Ameet Talwalkar",
    venue="International Conference on Learning Representations",
    year=2021,
    arxiv="2004.07802",
)


def gaea(*, alpha_lr: float = 0.1, floor: float = 1e-5, noise: float = 1e-3) -> Strategy:
    """Search by exponentiated gradients: p <- p exp(-lr g) / sum (algorithm 1), the mixture weights being p itself.

    Parts: domain=Simplex(floor), relax=Weights, gradient=Exponentiated, select=Argmax.
    Shapes: alpha `[choices, candidates]` float32, rows on the simplex; loss scalar, mean per batch.
    Departs from the paper: bilevel on every space (there, single-level on NAS-Bench-201); the floor is a projection
    that keeps the sum, not a clamp.
    Fails when: as DARTS does; sparse steps settle the lottery sooner.
    """
    return Strategy(
        domain=Simplex(floor, noise),
        relax=Weights(),
        gradient=Exponentiated(lr=alpha_lr),
        select=Argmax(),
        name="gaea",
        papers=(PAPER,),
    )

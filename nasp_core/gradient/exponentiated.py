"""Multiplicative steps on the simplex: GAEA's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nasp_core.gradient.steps import NEEDS_SLOPE, ByRule
from nasp_core.strategy import StepContext
from nasp_core.types import State

__all__ = ["Exponentiated"]


@dataclass(frozen=True)
class Exponentiated(ByRule):
    """p <- p exp(-lr g) / sum, g the validation gradient (Li et al. 2021, arXiv:2004.07802, algorithm 1).

    Mirror descent under the entropy: a step changes probabilities by factors, so it favours sparse ones.
    """

    lr: float = 0.1

    needs: ClassVar[dict[str, str]] = {
        "slope": NEEDS_SLOPE,
        "simplex": "exponentiated steps need probabilities; use domain = Simplex and relax = Weights",
    }

    def move(self, context: StepContext, grads: dict[str, Tensor | None], state: State) -> None:
        """Multiply each probability by exp(-lr * slope) and normalise each choice."""
        for name, grad in grads.items():
            if grad is not None:
                p = context.alpha[name]
                # the largest exponent of a row is 0: nothing overflows, and the ratio is the same
                factor = -self.lr * grad
                p.mul_((factor - factor.amax(-1, keepdim=True)).exp())
                p.div_(p.sum(-1, keepdim=True))

"""SNAS: one level, weights drawn by Gumbel noise that cools down.  Xie et al., ICLR 2019, arXiv:1812.09926."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.network import Space
from nasp_core.parts import Argmax, Complexity, Logits, SingleLevel, Softmax, Temperature
from nasp_core.parts.mixtures import masked
from nasp_core.parts.samples import gumbel_like
from nasp_core.strategy import Paper, Strategy
from nasp_core.types import Alpha, Mixture, Phase, RelaxState

__all__ = ["PAPER", "GumbelSoftmax", "snas"]


@dataclass(frozen=True)
class GumbelSoftmax(Softmax):
    """softmax((log softmax(alpha) + Gumbel noise) / temperature), new noise in every step (Xie et al. 2019, eq. 5).

    As the temperature falls the weights become one-hot samples of softmax(alpha). A validation of the supernet sees
    softmax(alpha).
    """

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth", "convex", "temperature", "shares", "random"})

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return a dense mixture of drawn weights."""
        if phase == "valid":
            plain = {name: torch.softmax(t, -1) for name, t in masked(alpha, state.alive).items()}
            return Mixture(weights=plain, kept=state.kept())
        drawn = {}
        for name, logits in masked(alpha, state.alive).items():
            drawn[name] = torch.log_softmax(logits, -1) + gumbel_like(logits, generator)
        return super().mixture(drawn, space, phase, state, generator)


PAPER = Paper(
    title="SNAS: Stochastic Neural Architecture Search",
    authors="Sirui Xie, Hehui Zheng, Chunxiao Liu, Liang Lin",
    venue="International Conference on Learning Representations",
    year=2019,
    arxiv="1812.09926",
)


def snas(
    *,
    alpha_lr: float = 3e-3,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    start: float = 1.0,
    end: float = 0.03,
    eta: float = 0.0,
) -> Strategy:
    """Search by the training gradient of drawn mixtures, whose temperature falls from `start` to `end` (eqs. 5 to 8).

    Weights and alpha learn from the same batch; `eta` prices size (the paper's resource constraint, in expectation).

    Parts: domain=Logits, relax=GumbelSoftmax, gradient=SingleLevel, select=Argmax; schedules Temperature and, with
    `eta`, Complexity.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the price is on the drawn weights, by the path-wise gradient, not by a policy gradient.
    Fails when: the training data alone favours what fits it soonest; on validation that may be another candidate.
    """
    return Strategy(
        domain=Logits(),
        relax=GumbelSoftmax(start),
        gradient=SingleLevel(lr=alpha_lr, betas=betas, weight_decay=weight_decay),
        select=Argmax(),
        schedules=(Temperature(start, end), *((Complexity(eta),) if eta else ())),
        name="snas",
        papers=(PAPER,),
    )

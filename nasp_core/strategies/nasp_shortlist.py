"""NASP on wide spaces: fair turns, then a shortlist that the supernet itself ranks.  After Yao et al., AAAI 2020."""

from nasp_core.domain import Box
from nasp_core.gradient import FirstOrder
from nasp_core.relax import FairTurns
from nasp_core.select import Shortlist
from nasp_core.strategies.fairnas import PAPER as FAIRNAS
from nasp_core.strategies.nasp import PAPER
from nasp_core.strategies.spos import PAPER as SPOS
from nasp_core.strategy import Strategy

__all__ = ["nasp_shortlist"]


def nasp_shortlist(
    *,
    alpha_lr: float = 3e-3,
    noise: float = 1e-3,
    looks: int = 120,
    finalists: int = 4,
    trainings: int = 16,
    shorten: float = 4.0,
    keep: int = 2,
) -> Strategy:
    """Search with NASP's proximal step and fair turns; the supernet ranks points, and short trainings decide.

    For spaces of several choices, where alpha's point and its neighbours are too few: the supernet is asked about
    `looks` points, climbing from alpha's and from random ones; the best `finalists`, and what a climb from their best
    meets, are trained alone on a schedule shortened by `shorten` (`trainings` in all), and the best `keep` in full.

    Parts: domain=Box(0, 1), relax=FairTurns, gradient=FirstOrder, select=Shortlist.
    Shapes: alpha `[choices, candidates]` float32 in [0, 1]; loss scalar, mean per batch.
    Departs from the paper: as `nasp-ranked`, and alpha is only where the first climb starts.
    Fails when: candidates that share embeddings spoil them for each other, so that the supernet ranks at random.
    """
    return Strategy(
        domain=Box(0.0, 1.0, start=0.5, noise=noise),
        relax=FairTurns(),
        gradient=FirstOrder(lr=alpha_lr),
        select=Shortlist(looks=looks, count=finalists, trainings=trainings, shorten=shorten, keep=keep),
        name="nasp-shortlist",
        papers=(PAPER, FAIRNAS, SPOS),
    )

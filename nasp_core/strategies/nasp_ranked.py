"""NASP made reliable on small spaces: fair turns, then finalists ranked on validation.  After Yao et al., AAAI 2020."""

from nasp_core.domain import Box
from nasp_core.gradient import FirstOrder
from nasp_core.relax import FairTurns
from nasp_core.select import Ranking
from nasp_core.strategies.fairnas import PAPER as FAIRNAS
from nasp_core.strategies.nasp import PAPER
from nasp_core.strategy import Strategy

__all__ = ["nasp_ranked"]


def nasp_ranked(*, alpha_lr: float = 3e-3, noise: float = 1e-3, finalists: int = 8, shorten: float = 4.0) -> Strategy:
    """Search with NASP's proximal step, train every candidate in its turn, and let a short final decide.

    The proximal search orders the candidates and learns the element-wise networks; the `finalists` best by alpha,
    one of each family, are then trained alone on a schedule shortened by `shorten` and ranked on validation.

    Parts: domain=Box(0, 1), relax=FairTurns, gradient=FirstOrder, select=Ranking.
    Shapes: alpha `[choices, candidates]` float32 in [0, 1]; loss scalar, mean per batch.
    Departs from the paper: the weight step takes every candidate in turn instead of the winner alone; the
    selection trains finalists instead of reading alpha, since shared embeddings favour what learns fastest.
    Fails when: the best point is not among the finalists (only on spaces of more families than `finalists`), or
    two points are closer than a short training can tell.
    """
    return Strategy(
        domain=Box(0.0, 1.0, start=0.5, noise=noise),
        relax=FairTurns(),
        gradient=FirstOrder(lr=alpha_lr),
        select=Ranking(count=finalists, shorten=shorten),
        name="nasp-ranked",
        papers=(PAPER, FAIRNAS),
    )

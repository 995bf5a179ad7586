"""DARTS-: an auxiliary identity, fading.  Chu et al., ICLR 2021, arXiv:2009.01027."""

from dataclasses import replace

from nasp_core.hook import AuxiliarySkip
from nasp_core.strategies.darts import darts
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "darts_minus"]

PAPER = Paper(
    title="DARTS-: Robustly Stepping out of Performance Collapse Without Indicators",
    authors="Xiangxiang Chu, Xiaoxing Wang, Bo Zhang, Shun Lu, Xiaolin Wei, Junchi Yan",
    venue="International Conference on Learning Representations",
    year=2021,
    arxiv="2009.01027",
)


def darts_minus(
    *, alpha_lr: float = 3e-4, betas: tuple[float, float] = (0.5, 0.999), weight_decay: float = 1e-3
) -> Strategy:
    """Search as DARTS does, each edge with one identity more, whose factor falls linearly from 1 to 0 (equation 5).

    Parts: domain=Logits, relax=Softmax, gradient=FirstOrder, select=Argmax; hook AuxiliarySkip.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: nothing on cells of convolutions. On other spaces there is no identity to relieve: it is
    DARTS there.
    Fails when: the search is so short that the factor is still large when alpha has settled.
    """
    base = darts(alpha_lr=alpha_lr, betas=betas, weight_decay=weight_decay)
    return replace(base, hooks=(AuxiliarySkip(),), name="darts-minus", papers=(PAPER,))

"""DARTS-PT: discretise by what the supernet loses.  Wang et al., ICLR 2021, arXiv:2108.04392."""

from dataclasses import replace

from nasp_core.select import Perturbation
from nasp_core.strategies.darts import darts
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "darts_pt"]

PAPER = Paper(
    title="Rethinking Architecture Selection in Differentiable NAS",
    authors="Ruochen Wang, Minhao Cheng, Xiangning Chen, Xiaocheng Tang, Cho-Jui Hsieh",
    venue="International Conference on Learning Representations",
    year=2021,
    arxiv="2108.04392",
)


def darts_pt(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    tune: int = 1,
) -> Strategy:
    """Search as DARTS does; then decide choice by choice, training the supernet on in between (algorithm 1).

    Parts: domain=Logits, relax=Softmax, gradient=FirstOrder, select=Perturbation.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: `tune` epochs between decisions (there 5 to 25), at a tenth of the learning rate.
    Fails when: candidates' outputs differ in scale: then the largest is missed most, not the best.
    """
    base = darts(alpha_lr=alpha_lr, betas=betas, weight_decay=weight_decay)
    return replace(base, select=Perturbation(tune), name="darts-pt", papers=(PAPER,))

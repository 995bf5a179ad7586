"""RARTS: two copies of the weights, and alpha learns from both.  Xue et al., IEEE Access 2022, arXiv:2008.03901."""

from nasp_core.domain import Logits
from nasp_core.gradient import Twin
from nasp_core.relax import Softmax
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "rarts"]

PAPER = Paper(
    title="RARTS: An Efficient First-Order Relaxed Architecture Search Method",
    authors="Fanghui Xue, Yingyong Qi, Jack Xin",
    venue="IEEE Access",
    year=2022,
    arxiv="2008.03901",
)


def rarts(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    coupling: float = 0.1,
    share: float = 1.0,
) -> Strategy:
    """Search with twin weights, one a part of the data, held together by `coupling` (algorithm 1).

    Parts: domain=Logits, relax=Softmax, gradient=Twin, select=Argmax.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the weights' optimiser is the recipe's, the twins' plain descent at its rate.
    Fails when: the coupling is so weak that the twins part: alpha then serves two networks.
    """
    return Strategy(
        domain=Logits(),
        relax=Softmax(),
        gradient=Twin(lr=alpha_lr, betas=betas, weight_decay=weight_decay, coupling=coupling, share=share),
        select=Argmax(),
        name="rarts",
        papers=(PAPER,),
    )

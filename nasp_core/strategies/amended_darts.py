"""Amended DARTS: a cheap correction of the gradient that keeps its direction.  Bi et al., 2019, arXiv:1910.11831."""

from nasp_core.domain import Logits
from nasp_core.gradient import Amended
from nasp_core.relax import Softmax
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "amended_darts"]

PAPER = Paper(
    title="Stabilizing DARTS with Amended Gradient Estimation on Architectural Parameters",
    authors="Kaifeng Bi, Changping Hu, Lingxi Xie, Xin Chen, Longhui Wei, Qi Tian",
    venue="arXiv preprint",
    year=2019,
    arxiv="1910.11831",
)


def amended_darts(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    amendment: float = 0.1,
) -> Strategy:
    """Search with the implicit gradient, `amendment` * H in place of the inverse Hessian (equations 5 to 8).

    Parts: domain=Logits, relax=Softmax, gradient=Amended, select=Argmax.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: search and final training keep the recipe's own settings (there, they are made alike).
    Fails when: the supernet is far from trained: the correction assumes that its weights are at a minimum.
    """
    return Strategy(
        domain=Logits(),
        relax=Softmax(),
        gradient=Amended(lr=alpha_lr, betas=betas, weight_decay=weight_decay, amendment=amendment),
        select=Argmax(),
        name="amended-darts",
        papers=(PAPER,),
    )

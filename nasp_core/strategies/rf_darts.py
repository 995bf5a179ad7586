"""RF-DARTS: features stay random, batch norms learn.  Zhang et al., CVPR 2023, arXiv:2208.08835."""

from dataclasses import replace

from nasp_core.hook import NormOnly
from nasp_core.strategies.darts import darts
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "rf_darts"]

PAPER = Paper(
    title="Differentiable Architecture Search with Random Features",
    authors="Xuanyang Zhang, Yonggang Li, Xiangyu Zhang, Yongtao Wang, Jian Sun",
    venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year=2023,
    arxiv="2208.08835",
)


def rf_darts(
    *, alpha_lr: float = 3e-4, betas: tuple[float, float] = (0.5, 0.999), weight_decay: float = 1e-3
) -> Strategy:
    """Search as DARTS does on convolutions that stay as they were drawn; norms and classifier learn (section 3.2).

    Parts: domain=Logits, relax=Softmax, gradient=FirstOrder, select=Argmax; hook NormOnly.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the classifier learns too. On spaces without batch norm it is DARTS.
    Fails when: what a candidate can learn is what counts, more than what it does at random weights.
    """
    base = darts(alpha_lr=alpha_lr, betas=betas, weight_decay=weight_decay)
    return replace(base, hooks=(NormOnly(),), name="rf-darts", papers=(PAPER,))

"""DARTS, first order: all operations at once, weighted by a softmax.  Liu et al., ICLR 2019, arXiv:1806.09055."""

from nasp_core.parts import Argmax, FirstOrder, Logits, Softmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "darts"]

PAPER = Paper(
    title="DARTS: Differentiable Architecture Search",
    authors="Hanxiao Liu, Karen Simonyan, Yiming Yang",
    venue="International Conference on Learning Representations",
    year=2019,
    arxiv="1806.09055",
)


def darts(*, alpha_lr: float = 3e-4, betas: tuple[float, float] = (0.5, 0.999), weight_decay: float = 1e-3) -> Strategy:
    """Search by gradient descent on a softmax mixture of all operations (equations 2 and 6 with xi = 0).

    Parts: domain=Logits, relax=Softmax, gradient=FirstOrder, select=Argmax.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: nothing on interaction functions.
    Fails when: the mixture does well because operations cover for each other; the argmax alone then does not.
    """
    return Strategy(
        domain=Logits(),
        relax=Softmax(),
        gradient=FirstOrder(lr=alpha_lr, betas=betas, weight_decay=weight_decay),
        select=Argmax(),
        name="darts",
        papers=(PAPER,),
    )

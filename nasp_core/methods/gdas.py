"""GDAS: one drawn operation a choice runs, its gradient reaches all.  Dong and Yang, CVPR 2019, arXiv:1910.04465."""

from nasp_core.parts import Argmax, FirstOrder, GumbelHard, Logits, Temperature
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "gdas"]

PAPER = Paper(
    title="Searching for a Robust Neural Architecture in Four GPU Hours",
    authors="Xuanyi Dong, Yi Yang",
    venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year=2019,
    arxiv="1910.04465",
)


def gdas(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    start: float = 10.0,
    end: float = 0.1,
) -> Strategy:
    """Search by hard Gumbel samples: forward one operation a choice, backward through the softmax (equations 3 to 5).

    The temperature falls linearly from `start` to `end`.

    Parts: domain=Logits, relax=GumbelHard, gradient=FirstOrder, select=Argmax; schedule Temperature.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: both cells are searched (the paper's best result fixes the reduction cell). What was not
    drawn gives no gradient; the published code first gave it that of its weight alone, which later versions took out.
    Fails when: outputs of the candidates differ in scale; the gradient then says how large an output is, not how good.
    """
    return Strategy(
        domain=Logits(),
        relax=GumbelHard(start),
        gradient=FirstOrder(lr=alpha_lr, betas=betas, weight_decay=weight_decay),
        select=Argmax(),
        schedules=(Temperature(start, end, "linear"),),
        name="gdas",
        papers=(PAPER,),
    )

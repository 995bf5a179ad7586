"""DOTS: operations first, then which edges.  Gu et al., CVPR 2021, arXiv:2010.00969."""

from nasp_core.domain import PairLogits
from nasp_core.gradient import FirstOrder
from nasp_core.relax import Grouped
from nasp_core.schedule import BestOfEach, StartAt, Temperature
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "dots"]

PAPER = Paper(
    title="DOTS: Decoupling Operation and Topology in Differentiable Architecture Search",
    authors="Yu-Chao Gu, Li-Juan Wang, Yun Liu, Yi Yang, Yu-Huan Wu, Shao-Ping Lu, Ming-Ming Cheng",
    venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year=2021,
    arxiv="2010.00969",
)


def dots(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    warmup: float = 0.2,
    at: float = 0.43,
    start: float = 10.0,
    end: float = 0.02,
) -> Strategy:
    """Search operations in two groups, keep the best of each from `at` on, then pairs of edges (sections 3.2, 3.3).

    The pairs' temperature falls from `start` to `end` in the second stage.

    Parts: domain=PairLogits, relax=Grouped, gradient=FirstOrder, select=Argmax; schedules StartAt,
    BestOfEach and Temperature.
    Shapes: alpha `[choices, candidates]` float32 and one logit a set of edges, unbounded; loss scalar, mean per batch.
    Departs from the paper: the network keeps its depth in the second stage. Where candidates do not differ in
    parameters there is one group, and where no edges enter nodes the second stage only halves the candidates.
    Fails when: the best of a group is decided before the weights are trained.
    """
    return Strategy(
        domain=PairLogits(),
        relax=Grouped(),
        gradient=FirstOrder(lr=alpha_lr, betas=betas, weight_decay=weight_decay),
        select=Argmax(),
        schedules=(StartAt(warmup), BestOfEach(at), Temperature(start, end, after=at)),
        name="dots",
        papers=(PAPER,),
    )

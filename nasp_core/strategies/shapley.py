"""Shapley-NAS: candidates are paid what they contribute.  Xiao et al., CVPR 2022, arXiv:2206.09811."""

from nasp_core.domain import Logits
from nasp_core.gradient import Shapley
from nasp_core.relax import Softmax
from nasp_core.schedule import StartAt
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "shapley"]

PAPER = Paper(
    title="Shapley-NAS: Discovering Operation Contribution for Neural Architecture Search",
    authors="Han Xiao, Ziwei Wang, Zheng Zhu, Jie Zhou, Jiwen Lu",
    venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year=2022,
    arxiv="2206.09811",
)


def shapley(
    *,
    rate: float = 0.1,
    momentum: float = 0.8,
    permutations: int = 10,
    every: int = 25,
    exact: int = 6,
    warmup: float = 0.3,
) -> Strategy:
    """Search by Shapley values of the candidates in the supernet, in place of a gradient (equations 5 to 9).

    Exact where there are up to `exact` candidates in all, such as the operations of an interaction function; else from
    `permutations` random orders; every `every` steps after the `warmup`.

    Parts: domain=Logits, relax=Softmax, gradient=Shapley, select=Argmax; schedule StartAt.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the value of a coalition is minus the loss, not the accuracy, so that it fits every task; no
    order is cut off early.
    Fails when: candidates stand in for each other: what others can replace is paid little, however good.
    """
    return Strategy(
        domain=Logits(),
        relax=Softmax(),
        gradient=Shapley(rate=rate, momentum=momentum, permutations=permutations, every=every, exact=exact),
        select=Argmax(),
        schedules=(StartAt(warmup),),
        name="shapley",
        papers=(PAPER,),
    )

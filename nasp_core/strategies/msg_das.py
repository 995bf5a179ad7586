"""MSG-DAS: disjoint drawn sub-graphs in each step.  Tan et al., 2021, arXiv:2107.04324."""

from nasp_core.domain import Logits
from nasp_core.gradient import FirstOrder
from nasp_core.hook import DropBlockSkip
from nasp_core.relax import GumbelHard
from nasp_core.schedule import Temperature
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "msg_das"]

PAPER = Paper(
    title="Mutually-aware Sub-Graphs Differentiable Architecture Search",
    authors="Haoxian Tan, Sheng Guo, Yujie Zhong, Matthew R. Scott, Weilin Huang",
    venue="arXiv preprint",
    year=2021,
    arxiv="2107.04324",
)


def msg_das(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    samples: int = 2,
    start: float = 10.0,
    end: float = 0.1,
    drop: float = 0.1,
) -> Strategy:
    """Search by the mean loss of `samples` sub-graphs a step, drawn without replacement (equations 3 to 5).

    Parts: domain=Logits, relax=GumbelHard(samples), gradient=FirstOrder, select=Argmax; schedule Temperature, hook
    DropBlockSkip.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the supernet does not teach its sub-graphs (distillation needs a second loss in the weight
    step, which the loop does not have).
    Fails when: as `gdas`; with as many samples as candidates it is a costly sum of all.
    """
    return Strategy(
        domain=Logits(),
        relax=GumbelHard(start, samples),
        gradient=FirstOrder(lr=alpha_lr, betas=betas, weight_decay=weight_decay),
        select=Argmax(),
        schedules=(Temperature(start, end, "linear"),),
        hooks=(DropBlockSkip(drop),),
        name="msg-das",
        papers=(PAPER,),
    )

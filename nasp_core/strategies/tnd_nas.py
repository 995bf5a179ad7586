"""TND-NAS: drawn points and a policy gradient, for costs that have no slope.  Lyu and Wen, 2021, arXiv:2111.03892."""

from nasp_core.domain import Logits
from nasp_core.gradient import ScoreFunction
from nasp_core.relax import Categorical
from nasp_core.schedule import Complexity, Shrink
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "tnd_nas"]

PAPER = Paper(
    title="TND-NAS: Towards Non-Differentiable Objectives in Differentiable Neural Architecture Search",
    authors="Bo Lyu, Shiping Wen",
    venue="arXiv preprint",
    year=2021,
    arxiv="2111.03892",
)


def tnd_nas(
    *,
    alpha_lr: float = 3e-3,
    betas: tuple[float, float] = (0.5, 0.999),
    samples: int = 1,
    baseline: float = 0.9,
    eta: float = 0.0,
    keep: tuple[int, ...] = (5, 3),
) -> Strategy:
    """Search by REINFORCE on softmax(alpha), with the validation loss plus `eta` times the size as the cost.

    Candidates leave as the search goes on: the `keep` strongest of each choice stay, at equal parts of it.

    Parts: domain=Logits, relax=Categorical, gradient=ScoreFunction, select=Argmax; schedules Shrink and, with `eta`,
    Complexity.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the supernet does not grow deeper between stages.
    Fails when: rewards of single batches are noise beside what the points differ by.
    """
    return Strategy(
        domain=Logits(),
        relax=Categorical(),
        gradient=ScoreFunction(lr=alpha_lr, betas=betas, samples=samples, baseline=baseline),
        select=Argmax(),
        schedules=(
            Shrink(tuple((i + 1) / (len(keep) + 1) for i in range(len(keep))), tuple(keep)),
            *((Complexity(eta),) if eta else ()),
        ),
        name="tnd-nas",
        papers=(PAPER,),
    )

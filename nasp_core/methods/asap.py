"""ASAP: anneal the softmax and prune what falls behind.  Noy et al., AISTATS 2020, arXiv:1904.04123."""

from nasp_core.parts import Argmax, FirstOrder, Logits, Prune, Softmax, Temperature
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "asap"]

PAPER = Paper(
    title="ASAP: Architecture Search, Anneal and Prune",
    authors=(
        "Asaf Noy, Niv Nayman, Tal Ridnik, Nadav Zamir, Sivan Doveh, Itamar Friedman, Raja Giryes, Lihi Zelnik-Manor"
    ),
    venue="International Conference on Artificial Intelligence and Statistics",
    year=2020,
    arxiv="1904.04123",
)


def asap(
    *,
    alpha_lr: float = 3e-3,
    betas: tuple[float, float] = (0.5, 0.999),
    start: float = 1.3,
    end: float = 0.05,
    first: float = 0.4,
    last: float = 0.9,
    warmup: float = 0.1,
) -> Strategy:
    """Search with a softmax whose temperature falls, dropping candidates below a rising threshold (algorithm 1).

    Thresholds are in units of an even share among those alive: `first` after the `warmup`, `last` at the end.

    Parts: domain=Logits, relax=Softmax, gradient=FirstOrder, select=Argmax; schedules Temperature and Prune.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: temperature and threshold run over the budget given, whatever its length.
    Fails when: it prunes by what learns soonest: on interaction functions it was wrong in four of four seeds of a
    quick test. What is dropped does not come back.
    """
    return Strategy(
        domain=Logits(),
        relax=Softmax(start),
        gradient=FirstOrder(lr=alpha_lr, betas=betas),
        select=Argmax(),
        schedules=(Temperature(start, end, after=warmup), Prune(first, last, after=warmup)),
        name="asap",
        papers=(PAPER,),
    )

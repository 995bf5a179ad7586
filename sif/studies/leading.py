"""Who leads a study: the rival that is better on validation than every configuration, if one is."""

from nasp_core.evaluation import better
from sif.studies.baselines import Baselines
from sif.studies.classics import Classics
from sif.studies.trials import Trials

__all__ = ["leading"]


def leading(trials: Trials, baselines: Baselines | None, classics: Classics | None) -> tuple[str, float | None]:
    """Return the best rival that can be handed over, and its value; "" and that of the best trial where none is better.

    Args:
        trials: What was trained.
        baselines: Networks of rivals.
        classics: Rivals with ways of their own.
    """
    name, value = "", None if trials.best is None else trials.best.value
    values = dict(baselines.values) if baselines is not None else {}
    for each in classics.best if classics is not None else ():
        assert classics is not None
        if classics.served(each):
            values[each] = classics.best[each].valid[trials.task.metric]
    for each, own in values.items():
        if value is None or better(trials.task, own, value):
            name, value = each, own
    return name, value

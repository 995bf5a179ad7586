"""Who leads a study: the rival that is better on validation than every configuration, and those that must stand."""

from collections.abc import Collection

from nasp_core.evaluation import better
from sif.studies.baselines import Baselines
from sif.studies.classics import Classics
from sif.studies.trials import Trials

__all__ = ["leading", "ordered", "standing"]

_BLENDED = 3  # tuned rivals of which a blend is rarely without one, before it is made


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


def ordered(classics: Classics, metric: str) -> list[str]:
    """Return the tuned rivals, the best on validation first.

    Args:
        classics: The rivals.
        metric: By which they are compared; more is better.
    """
    return sorted(classics.best, key=lambda name: -classics.best[name].valid[metric])


def standing(classics: Classics | None, metric: str, chosen: Collection[str] | None = None) -> tuple[str, ...]:
    """Return the tuned rivals that the table of a study cannot be without: popularity, the best, and what is chosen.

    Args:
        classics: The rivals; None: no table has any.
        metric: By which they are compared.
        chosen: What is handed over and what the blend adds; None: not known yet.
    """
    if classics is None:
        return ()
    first = ordered(classics, metric)
    must = {"popularity", *first[: 1 if chosen is not None else _BLENDED], *(chosen or ())}
    return tuple(name for name in first if name in must)

"""Who leads a study: the rival that is better on validation than every configuration, and those that must stand."""

import math
from collections.abc import Collection

from nasp_core.evaluation import better
from sif.studies.baselines import Baselines
from sif.studies.classics import Classics
from sif.studies.trials import Trials

__all__ = ["leading", "ordered_rivals", "required_rivals"]

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


def ordered_rivals(trials: Trials, classics: Classics | None) -> list[str]:
    """Return the rivals that stand in a table if there is time: tuned ones and points of the space, the best first.

    Args:
        trials: What was trained.
        classics: Rivals with ways of their own.
    """
    values = {name: trial.value for name, trial in trials.rivals.items()}
    for name, tuned in classics.best.items() if classics is not None else ():
        values[name] = tuned.valid[trials.task.metric]
    sign = -1.0 if trials.task.maximise else 1.0
    return sorted(values, key=lambda name: math.inf if values[name] is None else sign * (values[name] or 0.0))


def required_rivals(
    trials: Trials, classics: Classics | None, chosen: Collection[str] | None = None
) -> tuple[str, ...]:
    """Return the rivals that the table of a study cannot be without: popularity, the best tuned, and what is chosen.

    Args:
        trials: What was trained.
        classics: Rivals with ways of their own.
        chosen: What is handed over and what the blend adds; None: not known yet.
    """
    tuned = [name for name in ordered_rivals(trials, classics) if classics is not None and name in classics.best]
    must = {"popularity", *tuned[: 1 if chosen is not None else _BLENDED], *(chosen or ())}
    return tuple(name for name in tuned if name in must)

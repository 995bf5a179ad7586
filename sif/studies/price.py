"""What a training will cost, before it is begun."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from math import prod

from nasp_core.evaluation import evaluate
from nasp_core.genotype import Genotype
from nasp_core.loop import Loop, Observer
from sif.problems.tables import TableInstance
from sif.studies.configuration import Configuration
from sif.studies.part_of_epoch import LEAST
from sif.studies.trials import Trials, at_fidelity
from sif.tasks import watched

__all__ = ["affordable", "seconds_per_epoch"]

_SHARE = 0.15  # of the seconds that are left is the most that the first training of a study should take
_CHEAP = 20_000_000  # users x items, up to which any short training is a matter of seconds
_ROWS = 300_000  # likewise
_PRICED = 4  # configurations


class _Timed(Observer):
    """Ends a training after some steps, and keeps when each of them ended."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.times: list[float] = []

    def started(self, what: str, steps: int, done: int) -> None:
        self.times = [time.perf_counter()]

    def stepped(self) -> None:
        self.times.append(time.perf_counter())
        if len(self.times) > self._steps:
            raise _Enough

    def fastest(self) -> float:
        return min(after - before for before, after in pairwise(self.times))


class _Enough(Exception):
    """The steps that were to be timed are done."""


def seconds_per_epoch(instance: TableInstance, genotype: Genotype, *, steps: int = 3, users: int = 2000) -> float:
    """Return about how many seconds an epoch of an architecture's final training takes on this table.

    Steps are taken on the table itself, and the fastest counts: others on the machine only ever slow them down. Of one
    validation an epoch has its share.

    Args:
        instance: The table under the settings of the training.
        genotype: The architecture.
        steps: How many are timed, 2 or more: the first makes what later ones find made.
        users: Whom validations judge, at most.
    """
    network, training, task = instance.build(genotype), instance.training({}), instance.final_task
    quiet = replace(training, evaluate_every=0, patience=None, keep_best=False, average_after=None)
    timed = _Timed(steps)
    loop = Loop(network, task, quiet, seed=instance.recipe.seed, observer=timed)
    with suppress(_Enough):
        loop.run()
    seconds = timed.fastest() * len(loop.stream)
    if every := training.stretched(len(loop.stream)).evaluate_every:
        began = time.perf_counter()
        evaluate(network, watched(task, users), precision=training.precision)
        seconds += (time.perf_counter() - began) / every
    return seconds


def affordable(
    trials: Trials, held: Sequence[Configuration], share: float, remaining: float | None
) -> tuple[Configuration, float]:
    """Return what a study trains first, and on which share of the schedule, so that it leaves time for more.

    It is the first configuration, but on a large table the first of a few that is not too dear, or else the cheapest of
    them on a share that is not, which may be less than an epoch.

    Args:
        trials: Of the study, before any.
        held: Configurations, the best first.
        share: Of the schedule, as it would be.
        remaining: Seconds of the budget; None where it is not of seconds.
    """
    instance = trials.instance
    rows = len(instance.data.split.train)
    if remaining is None or (prod(instance.data.task.sizes[:2]) <= _CHEAP and rows <= _ROWS):
        return held[0], share
    allowed, prices = _SHARE * max(remaining, 1.0), list[tuple[float, int, float]]()
    for number, each in enumerate(held[:_PRICED]):
        changed = trials.instance_of(each)
        training = at_fidelity(changed.training({}), share)
        steps = len(changed.final_task.stream("train", training.batch_size, 0))
        price = training.stretched(steps).epochs * seconds_per_epoch(changed, changed.genotype(each.choices))
        if price <= allowed:
            return each, share
        whole = changed.training({}).stretched(steps).epochs * steps
        prices.append((price, number, min(share, LEAST / whole)))
    price, number, least = min(prices)
    return held[number], max(share * allowed / price, least)

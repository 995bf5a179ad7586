"""What a training will cost, before it is begun."""

import time
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

from nasp_core.evaluation import evaluate
from nasp_core.genotype import Genotype
from nasp_core.loop import Loop, Observer
from sif.problems.tables import TableInstance
from sif.tasks import watched

__all__ = ["seconds_per_epoch"]


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

"""What it takes to judge models on all users at the end of a study: timed on some of them, and kept back."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nasp_core.evaluation import evaluate
from nasp_core.types import Task
from sif.problems.tables import TableInstance
from sif.recipes.limit import Limit
from sif.studies.configuration import Configuration
from sif.tasks import watched

if TYPE_CHECKING:
    from sif.studies.study import Study

__all__ = ["LAST", "Judging", "judged_at_the_end", "judging_of"]

LAST = 0.06
"""Of the seconds, kept for writing and for what is judged in next to no time."""
_JUDGED = 10_000  # users on whom validation judges, at most: by then what is left to chance is a tenth of a point
_MANY = 2000  # users; to judge fewer takes next to nothing
_FEW, _MORE = 100, 400  # users on whom it is timed
_ENOUGH = 12  # models judged on both parts: as long is a budget that is called large enough


@dataclass(frozen=True)
class Judging:
    """What it takes to judge one model on all users.

    Attributes:
        valid: Seconds, on the validation part.
        test: Seconds, on the test part.
        users: How many have rows in the validation part; 0 where it was not timed.
    """

    valid: float = 0.0
    test: float = 0.0
    users: int = 0

    def too_long(self, limit: Limit) -> tuple[str, ...]:
        """Return a note where a budget does not even hold this for one model; nothing where it does.

        Args:
            limit: The budget.
        """
        needed = self.valid + self.test
        if limit.seconds is None or needed <= (1 - LAST) * limit.seconds:
            return ()
        return (
            f"to judge one model on all {self.users:,} users takes about {needed:.2g} s, validation and test part "
            f"together: this run will take longer than {limit}; enough is --budget {_ENOUGH * needed:.0f}s",
        )


def judging_some(instance: TableInstance) -> TableInstance:
    """Return the table with validation on some users alone, where there are very many; the test part stays whole.

    Whatever a study trains, rivals included, is judged on the same ones.

    Args:
        instance: The table.
    """
    some = watched(instance.final_task, _JUDGED)
    if some is instance.final_task:
        return instance
    return TableInstance(instance.recipe, replace(instance.data, task=some))  # type: ignore[arg-type]


def judging_of(instance: TableInstance, configuration: Configuration) -> Judging:
    """Return what it takes to judge a configuration; nothing of few users, and where a task judges no users.

    Args:
        instance: The table under its settings.
        configuration: Of what size models are; it is not trained.
    """
    task, split, data = instance.final_task, instance.data.split, instance.data.interactions
    if watched(task, _MANY) is task:
        return Judging()
    network = instance.build(instance.genotype(configuration.choices))

    def seconds(judges: Task) -> float:
        began = time.perf_counter()
        evaluate(network, judges, precision=instance.training({}).precision)
        return time.perf_counter() - began

    few, more = watched(task, _FEW), watched(task, _MORE)
    seconds(few)  # the first makes what later ones find made
    least = seconds(few)
    each = max(0.0, seconds(more) - least) / (_MORE - _FEW)
    valid, test = (len(np.unique(data.user[rows])) for rows in (split.valid, split.test))
    valid = min(valid, _JUDGED)
    return Judging(least + each * max(0, valid - _FEW), (least + each * max(0, test - _FEW)) * (test > 0), valid)


def judged_at_the_end(study: Study, rivals: Collection[str]) -> float:
    """Return the seconds that it takes to judge the rows of a table: each on the test part, and a blend.

    Args:
        study: Under way or at its end.
        rivals: Those that stand in the table: tuned ones, and points of the space.
    """
    blended = "blend" not in study.instance.recipe.study.without
    rows = 1 + blended + sum(name in study.trials.rivals for name in rivals)
    rows += len(study.baselines.values) if study.baselines is not None else 0
    judging, best = study.judging, study.classics.best if study.classics is not None else {}
    more = judging.test / judging.valid if judging.valid else 0.0
    own = sum(best[name].judged for name in rivals if name in best)
    # as long as there is no blend, any of them may be in it
    added = study.blend.weights if study.blend.done else rivals
    members = blended * (judging.valid > 0) * sum(best[name].judged for name in added if name in best)
    valid = 0.0 if study.blend.done else blended * judging.valid + members
    return float(rows * judging.test + valid + more * (own + members))

"""The tables of a suite as a portfolio's tasks: opened by a recipe, with what was trained on each."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from nasp_core.errors import SearchError
from nasp_core.loop import Observer, Passing
from nasp_core.search import train_genotype
from sif.problems import open_recipe
from sif.problems.tables import TableInstance
from sif.recipes import changes_of, load_recipe
from sif.recipes.problems import ON_TABLES, problem
from sif.studies.configuration import Configuration
from sif.studies.suite_file import SuiteTable
from sif.studies.trials import OutOfTime, StudyTrial, at_fidelity

__all__ = ["LONGEST", "OpenedTable", "recipes_tried", "trained_once"]

LONGEST = 15.0
"""Seconds of a full training; a shorter one has a third of them."""


@dataclass
class OpenedTable:
    """A table opened for a task.

    Attributes:
        name: In the suite.
        instance: The table by the recipe of the task.
        done: What was trained.
    """

    name: str
    instance: TableInstance
    done: list[StudyTrial] = field(default_factory=list)

    def ranked(self, fidelity: float) -> list[StudyTrial]:
        """Return what was trained at a fidelity, best first.

        Args:
            fidelity: The share of the schedule.
        """
        sign = -1.0 if self.instance.final_task.maximise else 1.0
        there = [trial for trial in self.done if trial.fidelity == fidelity and trial.value is not None]
        return sorted(there, key=lambda trial: sign * (trial.value or 0.0))

    @classmethod
    def of(cls, table: SuiteTable, task: str, folder: Path, parts: Path) -> "OpenedTable":
        """Return a table of a suite, cut, opened by the recipe of a task.

        Args:
            table: Of the suite.
            task: Its name.
            folder: Where the suite's files are.
            parts: Where the cuts are written.
        """
        name, changes = recipes_tried()[task]
        said, plain = table.lay(folder, parts / table.name), load_recipe(name)
        dataset = said.pop("dataset")
        known = {key: value for key, value in said.items() if hasattr(plain, key.partition(".")[0])}  # not another's
        recipe = load_recipe(name, changes_of({**changes, **known})).model_copy(update={"dataset": dataset})
        return cls(table.name, cast(TableInstance, open_recipe(recipe)))


def recipes_tried() -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return by task the recipe, with its changes, by which configurations are tried."""
    return {name: problem(name).tried_by for name in ON_TABLES if problem(name).tried_by is not None}


class _Until(Passing):
    """Ends a training that takes too long by its own processor time: a busy machine drops no configuration."""

    def __init__(self, outer: Observer, seconds: float) -> None:
        super().__init__(outer)
        self._deadline = time.process_time() + seconds

    def stepped(self) -> None:
        super().stepped()
        if time.process_time() > self._deadline:
            raise OutOfTime


def trained_once(
    instance: TableInstance, configuration: Configuration, fidelity: float, progress: Observer
) -> dict[str, Any]:
    """Return `value`, `epochs` and `seconds` of a training.

    There is no value where it took too long, or its loss left the finite numbers.

    Args:
        instance: The table.
        configuration: What is trained.
        fidelity: The share of its schedule.
        progress: Is shown the steps.
    """
    began = time.process_time()
    value, epochs = None, 0
    changed = instance.changed(configuration.settings)
    genotype = changed.genotype(configuration.choices)
    training = at_fidelity(changed.training({}), fidelity)
    watched = _Until(progress, LONGEST if fidelity == 1 else LONGEST / 3)
    try:
        done = train_genotype(
            changed.build(genotype), changed.final_task, training, key=genotype.key(), observer=watched
        )
        found = float(done.metrics[instance.final_task.metric])
        value, epochs = (found if found == found else None), len(done.trace)
    except (OutOfTime, SearchError):
        pass
    return {"value": value, "epochs": epochs, "seconds": time.process_time() - began}

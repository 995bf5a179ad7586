"""The second goal of a study of ratings: what orders lists, a run inside the first on what is left of the budget."""

import math
from collections.abc import Callable
from typing import Any

from nasp_core.loop import Observer, Passing
from sif.errors import RunError
from sif.problems.goals import summary_of
from sif.problems.tables import TableInstance
from sif.recipes.limit import Limit
from sif.run_directory import RANKING_FOLDER, RunDirectory
from sif.studies.steps import goes_on, refuse_spent
from sif.studies.study import Study

__all__ = ["ForLists", "NoModelYet", "add_lists", "repeated_lists", "share_of"]

_RATINGS = 0.5  # of the budget is spent on what predicts ratings where lists are searched too; these have what is left
_END = 0.03  # of the seconds, for the end of the first: its test part, and writing


class NoModelYet(KeyboardInterrupt):
    """A study was stopped before any training came to its end."""


def share_of(limit: Limit) -> Limit:
    """Return the share of a budget that goes into what predicts ratings."""
    if limit.trials is not None:
        return Limit(trials=math.ceil(_RATINGS * limit.trials))
    return Limit(seconds=_RATINGS * (limit.seconds or 0.0))


def add_lists(
    lists: TableInstance,
    directory: RunDirectory,
    study: Study,
    limit: Limit,
    told: dict[str, Any],
    search: Callable[[TableInstance, RunDirectory], None],
) -> dict[str, Any]:
    """Search what orders the lists of a table of ratings, and return what the result of the ratings says of it.

    Args:
        lists: The table as a ranking.
        directory: Of the run of the ratings; that of the lists lies inside.
        study: Of the ratings, which has spent its share.
        limit: The whole budget.
        told: What the result says of the study of the ratings; what ends or differs in that of the lists is added.
        search: Conducts the study of the lists in a directory.
    """
    inner = RunDirectory(directory.path / RANKING_FOLDER)
    if not told["interrupted"]:
        journal = study.stages.journal
        rest = journal.once("lists", lambda: {"budget": str(_rest(limit, study))}, str(limit))["budget"]
        inner.path.mkdir(exist_ok=True)
        budgeted = TableInstance(lists.recipe.changed({"study.budget": rest}), lists.data)
        if _left(inner, budgeted):
            try:
                search(budgeted, inner)
            except NoModelYet:  # the ratings have one
                told["interrupted"] = True
        inner.clear()  # of what a kill left behind its result
    if not inner.finished:
        return {}
    result = inner.result()
    told["interrupted"] |= result["study"]["interrupted"]
    if (told["repeats"] or {}).get("equal") and (other := result["study"]["repeats"]) and not other["equal"]:
        told["repeats"] |= {"equal": False, "differs": f"lists: {other['differs']}"}
    return {RANKING_FOLDER: summary_of(result)}


def _rest(limit: Limit, study: Study) -> Limit:
    """Return what the ratings left of a budget for the lists: at least a training, or a second."""
    if limit.trials is not None:
        return Limit(trials=max(1, limit.trials - min(len(study.steps.taken), study.limit.trials or 0)))
    seconds = limit.seconds or 0.0
    return Limit(seconds=max(1.0, round(seconds * (1 - _END) - study.elapsed(), 1)))


def _left(inner: RunDirectory, lists: TableInstance) -> bool:
    """Return whether the study of the lists has something left to do, and of another budget than before to spend."""
    if inner.finished and inner.result()["study"]["asked"] != lists.recipe.study.budget:
        try:
            refuse_spent(inner, Limit.parse(lists.recipe.study.budget, len(lists.data.interactions)))
        except RunError:
            return False
    return goes_on(inner, lists.recipe)


def repeated_lists(study: Study) -> RunDirectory | None:
    """Return the run inside the one that a study repeats, which searched what orders lists; None where none is."""
    if not study.steps.repeats:
        return None
    origin = RunDirectory.open(study.steps.repeats, needs="result.json")
    lists = origin.lists()
    return None if lists is origin else lists


class ForLists(Passing):
    """Says of each stage and note that it is of the lists."""

    def __init__(self, outer: Observer | None) -> None:
        super().__init__(outer or Observer())

    def stage(self, name: str) -> None:
        """Pass it on."""
        self.outer.stage(f"lists: {name}")

    def note(self, text: str) -> None:
        """Pass it on."""
        self.outer.note(f"lists: {text}")

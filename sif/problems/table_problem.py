"""What the tasks on tables of users and items share: how recipes are checked, opened, shown and exported."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from nasp_core.errors import NaspError, did_you_mean
from nasp_core.strategy import Strategy
from nasp_core.trials import SearchContext
from sif.datasets import Interactions, Split
from sif.errors import RecipeError
from sif.problems.base import Problem
from sif.problems.data import prepare
from sif.problems.goals import goal_problems
from sif.problems.plan import TablePlan
from sif.problems.recipes import Recipe
from sif.problems.table_sheet import SheetColumn, table_sheet
from sif.problems.tables import TableInstance, baseline_of
from sif.protocols import protocol_problems
from sif.ranges import SettingsSpace
from sif.recipes.limit import NONE, Limit
from sif.serve.export import export_run
from sif.sheet import Sheet
from sif.spaces.build import small_space
from sif.spaces.wide_settings import BRANCH_KEY
from sif.tasks import TableTask

__all__ = ["TableProblem"]


class TableProblem(Problem):
    """A problem on a table of users and items; what a task knows of its own, its one subclass says.

    Attributes:
        explained: what the figures of a result are, for people.
        close: by how much a rival must lead on validation to be worth a word.
        unweighed: why weights that the data have are not used.
        rankings: the recipe that orders lists of the same tables, for a study of both; empty where there is none.
        ranks: whether its networks are trained to rank; its task is then a `RankingTask`, and comparisons train anew.
        settings_space: what a study may change of a recipe, beside the architecture.
        rungs: shares of a full schedule on which a study trains, rising, the last of them 1.
        tried_by: the recipe, with changes, by which configurations of a portfolio are tried; None where there is none.
        plan: how the points of an interaction table are trained on it; None where there are no such tables.
    """

    opens = "sif.run:Run"
    explained: ClassVar[str]
    close: ClassVar[float] = 0.001
    unweighed: ClassVar[str] = "all pairs count alike"
    rankings: ClassVar[str] = ""
    ranks: ClassVar[bool] = False
    tried_by: ClassVar[tuple[str, Mapping[str, Any]] | None] = None
    plan: ClassVar[TablePlan | None] = None
    settings_space: ClassVar[SettingsSpace] = {}
    rungs: ClassVar[tuple[float, ...]] = (1 / 9, 1 / 3, 1.0)

    @abstractmethod
    def make_task(self, recipe: Any, interactions: Interactions, cut: Split, device: torch.device) -> TableTask:
        """Return the task on data that are cut: batches, loss and metrics.

        Args:
            recipe: The recipe.
            interactions: All rows.
            cut: Their parts.
            device: Where the task's tensors are to lie.
        """

    @abstractmethod
    def columns(self, result: Mapping[str, Any]) -> tuple[SheetColumn, ...]:
        """Return the figures of a row of a result, first the one that selects."""

    def weighing(self, recipe: Any) -> dict[str, Any]:
        """Return what `ColumnNames` are told of the weights that a recipe uses."""
        return {}

    def only_met(self, recipe: Any) -> bool:
        """Return whether pairs rated 0 or less are left out: they say that nothing was met."""
        return False

    def taken(self, recipe: Any, interactions: Interactions) -> Interactions:
        """Return the rows that the task learns from.

        Args:
            recipe: The recipe.
            interactions: All rows.

        Raises:
            DataError: The task cannot learn from them.
        """
        return interactions

    def searched(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the keys of settings that a study of a recipe may search."""
        return tuple(key for key in (*self.settings_space, BRANCH_KEY) if recipe.has(key))

    def places(self, recipe: Any) -> tuple[int, float | None]:
        """Return on how many places a run is judged as a ranking, and from which rating on pairs count (None: all)."""
        return 10, None

    def made_of(self, recipe: Any) -> dict[str, Callable[[], object]]:
        """Return by key of the recipe what the task makes of it, for `check` to try."""
        return {}

    def check(self, recipe: Recipe) -> None:
        """Build everything a recipe names, without data; raises `RecipeError` listing all that does not fit."""
        problems: list[str] = []
        wants_context = recipe.space.name == "tensor-interaction"
        if wants_context != (recipe.context != "none"):
            fix = 'set context = "month" (or "column")' if wants_context else 'set space.name = "tensor-interaction"'
            problems.append(recipe.problem("space.name", f'does not go with context = "{recipe.context}"; {fix}'))
        part = recipe.columns.get("part", "")
        if part and (recipe.valid or recipe.test):
            why = "the parts are files of their own; leave out the column, or valid and test"
            problems.append(recipe.problem("columns.part", why))
        given = bool(recipe.valid or recipe.test or part) or recipe.split.kind == "leave-last-out"
        if not given and recipe.split.fractions[1] == 0:
            why = "the validation part chooses the function, and cannot be empty; give it a share, such as 0.1"
            problems.append(recipe.problem("split.fractions", why))
        problems += recipe.misplaced_settings()
        if recipe.study.budget != NONE:
            try:
                Limit.parse(recipe.study.budget, rows=1)
            except RecipeError as error:
                problems.append(recipe.problem("study.budget", str(error)))
        problems += goal_problems(recipe)
        problems += [recipe.problem(key, why) for key, why in protocol_problems(recipe)]
        problems += _refit_problems(recipe)
        problems += _pinned_problems(recipe, self.searched(recipe))
        for which in ("search", "train"):
            if getattr(recipe, which).precision != "float32":
                why = "a table's sums are too small to gain by half precision, and are kept in float32; leave it out"
                problems.append(recipe.problem(f"{which}.precision", why))
        for name in dict.fromkeys(recipe.baselines.names):
            try:
                baseline_of(recipe, name)
            except RecipeError as error:
                problems.append(recipe.problem("baselines.names", str(error)))
        problems += recipe.build_problems(
            {
                "space.operations": lambda: small_space(recipe.space.name, recipe.settings()),
                "search": lambda: recipe.training("search"),
                "train": lambda: recipe.training("train"),
                **self.made_of(recipe),
            }
        )
        recipe.refuse(problems or _start(recipe))

    def open(
        self, recipe: Recipe, *, source: Any = None, device: str = "auto", root: Path | None = None
    ) -> TableInstance:
        """Read, check and cut the table a recipe names; `source` (frame, matrix, Interactions) stands in for it."""
        return TableInstance(recipe, prepare(recipe, source=source, device=device, root=root))

    def sheet(self, result: Mapping[str, Any]) -> Sheet:
        """Return a result as people read it."""
        return table_sheet(self, result)

    def export(self, run: Path, to: str, out: Path | None, force: bool, *, ratings: bool = False) -> dict[str, Any]:
        """Write the model of a run as it is served, with the raw ids (`sif.serve.export`).

        Args:
            run: The run directory.
            to: The format.
            out: The file; None: one named after the run.
            force: Whether to replace a file.
            ratings: Whether to take the model that predicts ratings, where another orders lists.
        """
        path, written = export_run(run, to, out, force=force, ratings=ratings)
        served = written.served
        return {
            "path": str(path),
            "format": to,
            "bytes": path.stat().st_size,
            "users": served.n_users,
            "items": served.n_items,
            "formula": written.facts["formula"],
            "folded": served.describe(),
            "additive": served.additive,
        }


def _refit_problems(recipe: Recipe) -> list[str]:
    """Return why a refit that is asked for cannot be."""
    if recipe.study.refit is not True:
        return []
    found = []
    if recipe.study.budget == NONE:
        found.append("a refit ends a study, and there is none; give it a budget (--budget 2m), or leave it out")
    if recipe.train.average_after is not None:
        found.append("train.average_after begins by validation, of which a refit has none; leave one of the two out")
    return [recipe.problem("study.refit", why) for why in found]


def _pinned_problems(recipe: Recipe, searched: Sequence[str]) -> list[str]:
    """Return what is pinned and would not be searched anyway."""
    odd = [key for key in recipe.study.pinned if key not in searched]
    hints = [did_you_mean(key, searched, "Did you mean {}?", f"There are: {', '.join(searched)}") for key in odd]
    told = zip(odd, hints, strict=True)
    return [recipe.problem("study.pinned", f"no study of it searches {key}. {hint}") for key, hint in told]


def _start(recipe: Recipe) -> list[str]:
    """Begin the search on a space of two users and two items: settings that nothing else checks fail here."""
    strategy, generator = recipe.make_strategy(), torch.Generator()
    space = small_space(recipe.space.name, recipe.settings())
    try:
        if isinstance(strategy, Strategy):
            strategy.gradient.init(strategy.domain.init(space, generator, torch.device("cpu")), space)
        else:
            strategy.init(SearchContext(space), generator)
    except (NaspError, TypeError, ValueError) as error:
        return [recipe.problem("strategy.settings", str(error))]
    return []

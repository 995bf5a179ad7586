"""From what a user asks for to the data or table of a race."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from sif.benchmark.budget import Budget
from sif.benchmark.on_recipe import RecipeBenchmark
from sif.benchmark.on_tables import CellTableBenchmark, InteractionTableBenchmark
from sif.benchmark.problem import BenchmarkProblem
from sif.cells.networks import CELL_TABLES
from sif.errors import RaceError
from sif.problems import open_recipe
from sif.recipes import load_recipe
from sif.tabular import InteractionTable

__all__ = ["TABLES", "folder_of", "recipe_benchmark", "table_benchmark"]

TABLES = (*CELL_TABLES, "interaction-table")


def recipe_benchmark(
    recipe: str | Path,
    budget: Budget,
    *,
    recipe_budget: str = "",
    data: str = "",
    changes: Sequence[str] = (),
    device: str = "auto",
    root: Path | None = None,
) -> RecipeBenchmark:
    """Return the race on a recipe's data.

    Args:
        recipe: A name or a file.
        budget: Of each search.
        recipe_budget: One of the recipe's own budgets.
        data: Instead of the recipe's.
        changes: `key=value` each.
        device: `auto`, `cpu` or `cuda`.
        root: Folder of data sets.

    Raises:
        SifError: Something does not fit.
    """
    resolved = load_recipe(recipe, changes, recipe_budget)
    if data:
        resolved = resolved.model_copy(update={"dataset": data})
    return RecipeBenchmark(open_recipe(resolved, device=device, root=root), budget)


def table_benchmark(
    name: str, budget: Budget, *, table: str = "", task: str = "", data: str = "", root: Path | None = None
) -> CellTableBenchmark | InteractionTableBenchmark:
    """Return the race on a table.

    Args:
        name: A space of cells with a table of accuracies (`nas-bench-201`), or `interaction-table`.
        budget: Of each search.
        table: Its file; of interaction functions by default the one that ships, cells need theirs.
        task: A data set of the cells, or a task of the table.
        data: The data that the table was made on, for one-shot strategies.
        root: Folder of data sets.

    Raises:
        RaceError: Table, task or budget do not fit.
    """
    if name not in TABLES:
        raise RaceError(f"--space {name}: tables are {' and '.join(TABLES)}; to race on data give --recipe")
    if name == "interaction-table":
        return InteractionTableBenchmark(InteractionTable.load(table or None), task, budget, data=data, root=root)
    if data:
        raise RaceError(f"--data are what one-shot strategies train on; --space {name} has accuracies alone")
    if not table:
        raise RaceError(f"--space {name} needs the file of true accuracies: --table FILE (docs/cells.md)")
    return CellTableBenchmark(name, Path(table), task, budget)


def folder_of(name: str, problem: BenchmarkProblem, budget: Budget) -> Path:
    """Return the folder of a race that was given none: one for each problem and budget.

    Args:
        name: Of the recipe or table.
        problem: Data or a table.
        budget: Of each search.
    """
    text = json.dumps([problem.describe(), str(budget)], sort_keys=True)
    return Path("runs") / f"race-{name}-{str(budget).replace(' ', '')}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"

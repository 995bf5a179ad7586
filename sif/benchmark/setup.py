"""From what a user asks for to the arena of a race."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from sif.benchmark.arena import BenchmarkProblem
from sif.benchmark.budget import Budget
from sif.benchmark.on_recipe import RecipeArena
from sif.benchmark.on_tables import CellTableArena, InteractionTableArena
from sif.cells.networks import CELL_TABLES
from sif.errors import RaceError
from sif.problems import open_recipe
from sif.recipes import load_recipe
from sif.tabular import InteractionTable

__all__ = ["TABLES", "folder_of", "recipe_arena", "table_arena"]

TABLES = (*CELL_TABLES, "interaction-table")


def recipe_arena(
    recipe: str | Path,
    budget: Budget,
    *,
    recipe_budget: str = "",
    data: str = "",
    changes: Sequence[str] = (),
    device: str = "auto",
    root: Path | None = None,
) -> RecipeArena:
    """Return the arena of a recipe's data; `changes` are `key=value`, `recipe_budget` one of the recipe's own budgets.

    Raises `SifError` for what does not fit.
    """
    resolved = load_recipe(recipe, changes, recipe_budget)
    if data:
        resolved = resolved.model_copy(update={"dataset": data})
    return RecipeArena(open_recipe(resolved, device=device, root=root), budget)


def table_arena(
    name: str, budget: Budget, *, table: str = "", task: str = "", data: str = "", root: Path | None = None
) -> CellTableArena | InteractionTableArena:
    """Return the arena of a table: of a space of cells with its file, or `interaction-table` (default: the shipped)."""
    if name not in TABLES:
        raise RaceError(f"--space {name}: tables are {' and '.join(TABLES)}; to race on data give --recipe")
    if name == "interaction-table":
        return InteractionTableArena(InteractionTable.load(table or None), task, budget, data=data, root=root)
    if data:
        raise RaceError(f"--data are what one-shot strategies train on; --space {name} has accuracies alone")
    if not table:
        raise RaceError(f"--space {name} needs the file of true accuracies: --table FILE (docs/cells.md)")
    return CellTableArena(name, Path(table), task, budget)


def folder_of(name: str, arena: BenchmarkProblem, budget: Budget) -> Path:
    """Return the folder of a race that was given none: another for each arena and budget, the same when asked again."""
    text = json.dumps([arena.describe(), str(budget)], sort_keys=True)
    return Path("runs") / f"race-{name}-{str(budget).replace(' ', '')}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"

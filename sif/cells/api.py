"""The library's face for cells: `search_cells`, `load_cells`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sif.cells.data import prepare_cells
from sif.cells.pipeline import check_cell_recipe
from sif.cells.run import CellRun, execute_cells
from sif.errors import RecipeError, RunError
from sif.recipes import CellRecipe, changes_of, load_recipe
from sif.runs import RunDirectory

__all__ = ["load_cells", "search_cells"]


def search_cells(
    recipe: str | Path,
    data: Any = None,
    *,
    budget: str = "",
    strategy: str | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    root: Path | None = None,
) -> CellRun:
    """Search the cell that does best on pictures or text by a recipe (`cifar10`, `ptb`, a file), and return the run.

    `data`: a folder, archive, name of a data set, `Pictures` or `Corpus`; None takes the recipe's own. `budget`:
    `smoke`, `quick` or `full`. `settings` overrides the recipe by dotted key. Without `out` the run lies in a temporary
    folder that lives as long as the returned object. Raises `DataError` or `RecipeError` before anything is written.
    """
    changes = changes_of(settings, strategy, seed)
    resolved = load_recipe(recipe, changes, budget)
    if not isinstance(resolved, CellRecipe):
        raise RecipeError(f"{resolved.origin} is of ratings; use sif.search")
    if isinstance(data, str | Path):
        resolved, data = resolved.model_copy(update={"dataset": str(data)}), None
    elif data is not None:
        resolved = resolved.model_copy(update={"dataset": ""})
    check_cell_recipe(resolved)
    prepared = prepare_cells(resolved, source=data, device=device, root=root)
    keep = tempfile.TemporaryDirectory(prefix="sif-") if out is None else None
    path = Path(keep.name) if keep is not None else Path(out or "")
    directory = RunDirectory.create(path, prepared.name)
    execute_cells(resolved, prepared, directory)
    return CellRun(directory, keep)


def load_cells(path: str | Path) -> CellRun:
    """Open a finished run of cells; raises `RunError` saying what is missing."""
    directory = RunDirectory.open(path, needs="result.json")
    if directory.result()["task"] == "rating":
        raise RunError(f"run {path} is of ratings; use sif.load")
    return CellRun(directory)

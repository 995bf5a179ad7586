"""`sif search`: from a table to a found function, a comparison and a run directory."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sif.api import execute
from sif.cells.data import prepare_cells
from sif.cells.pipeline import check_cell_recipe
from sif.cells.run import execute_cells
from sif.cli.app import app, console, data_root, emit, errors, guarded
from sif.cli.cells import print_cells
from sif.cli.progress import TerminalProgress
from sif.data import prepare
from sif.datasets import catalogue
from sif.errors import RecipeError, RunError
from sif.pipeline import check_recipe
from sif.recipes import AnyRecipe, CellRecipe, Recipe, load_recipe, recipe_names
from sif.report.table import columns, comparison, headings, verdicts
from sif.runs import RunDirectory

__all__ = ["print_result", "search"]

GENERIC = "ratings"


@app.command()
@guarded
def search(
    target: Annotated[
        str, typer.Argument(metavar="TASK|FILE", help="A recipe (sif recipes ls), a data set, or a file of ratings.")
    ] = "",
    data: Annotated[str, typer.Option(help="Data to use instead of the recipe's: a file, folder or data set.")] = "",
    valid: Annotated[str, typer.Option(help="A file with the validation part; --data is then the training part.")] = "",
    test: Annotated[str, typer.Option(help="A file with the test part; --data is then the training part.")] = "",
    recipe: Annotated[str, typer.Option(help="A recipe file, or the name of one.")] = "",
    strategy: Annotated[str, typer.Option(help="Search strategy, by name.")] = "",
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe value.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory to make (default: runs/NAME-N).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split and of everything drawn.")] = None,
    budget: Annotated[str, typer.Option(help="Recipes of cells: smoke, quick (the default) or full.")] = "",
    table: Annotated[str, typer.Option(help="NAS-Bench-201: a file of the true accuracies of all cells.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[Path | None, typer.Option(help="Go on with an interrupted run.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json in one line instead of tables.")] = False,
) -> None:
    """Find the interaction function that fits a table of ratings, or the cell of a network, beside honest baselines."""
    if resume is not None:
        others = (target, data, valid, test, recipe, strategy, changes, out, seed is not None, budget, table)
        directory, resolved = _reopened(resume, any(others))
    else:
        overrides = list(changes or [])
        if strategy:
            overrides.append(f"strategy.name={json.dumps(strategy, ensure_ascii=False)}")
        if seed is not None:
            overrides.append(f"seed={seed}")
        if table:
            overrides.append(f"table={json.dumps(table, ensure_ascii=False)}")
        resolved = _resolve(target, data, recipe, {"valid": valid, "test": test}, overrides, budget)
        directory = None
    if isinstance(resolved, CellRecipe):
        directory = _search_cells(resolved, directory, out, device)
        show = print_cells
    else:
        directory = _search_ratings(resolved, directory, out, device, quiet=as_json)
        show = print_result
    directory.clear()
    result = directory.result()
    if as_json:
        emit(result | {"run": str(directory.path)})
    else:
        show(result, directory.path)


def _search_cells(recipe: CellRecipe, directory: RunDirectory | None, out: Path | None, device: str) -> RunDirectory:
    check_cell_recipe(recipe)
    data = prepare_cells(recipe, device=device, root=data_root())
    for note in data.description["notes"]:
        errors.print(f"note: {note}", markup=False)
    made = directory or RunDirectory.create(out, data.name)
    _to_the_end(made, lambda progress: execute_cells(recipe, data, made, progress=progress))
    return made


def _search_ratings(
    recipe: Recipe, directory: RunDirectory | None, out: Path | None, device: str, *, quiet: bool
) -> RunDirectory:
    check_recipe(recipe)
    prepared = prepare(recipe, device=device, root=data_root())
    for note in (*prepared.interactions.notes, *prepared.split.notes):
        if not quiet:
            errors.print(f"note: {note}", markup=False)
    made = directory or RunDirectory.create(out, prepared.interactions.name)
    _to_the_end(made, lambda progress: execute(recipe, prepared, made, progress=progress))
    return made


def _to_the_end(directory: RunDirectory, work: Callable[[TerminalProgress], None]) -> None:
    if directory.finished:
        return
    try:
        with TerminalProgress() as progress:
            work(progress)
    except KeyboardInterrupt:
        errors.print(f"go on with: sif search --resume {directory.path}", markup=False)
        raise


def _reopened(resume: Path, more: bool) -> tuple[RunDirectory, AnyRecipe]:
    if more:
        raise RunError(f"--resume {resume} goes on with that run's own recipe; besides, give --device and --json alone")
    directory = RunDirectory.open(resume)
    return directory, directory.recipe()


def _resolve(
    target: str, data: str, recipe: str, parts: dict[str, str], overrides: list[str], budget: str
) -> AnyRecipe:
    """Return the recipe that the arguments name; TASK is a recipe, a data set or a file."""
    if not target and not recipe and not data:
        raise RecipeError(f"nothing to search: give a recipe ({', '.join(recipe_names())}) or a file of ratings")
    if target.endswith(".toml"):
        raise RecipeError(f"{target} is a recipe, not data; give it as --recipe {target}")
    named = target in recipe_names() and not Path(target).exists()
    base = recipe or (target if named else GENERIC)
    resolved = load_recipe(base, overrides, budget)
    source = data or ("" if named and not recipe else target)
    if target and data and not named:
        raise RecipeError(f"two sources of data: {target} and --data {data}; give one")
    if any(parts.values()) and not (source or resolved.dataset):
        raise RecipeError("--valid and --test go with --data, the training part")
    if any(parts.values()) and isinstance(resolved, CellRecipe):
        raise RecipeError("--valid and --test are for ratings; pictures and text come with their parts")
    update: dict[str, Any] = {key: value for key, value in parts.items() if value}
    if source and not (named and source == target):
        update["dataset"] = source
        known = {name for entry in catalogue().values() for name in (entry.name, *entry.aliases)}
        if not Path(source).exists() and source not in known:
            names = sorted({*recipe_names(), *known})
            near = difflib.get_close_matches(source, names, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise RecipeError(f"no file, recipe or data set {source!r}. {hint}There are: {', '.join(names)}")
    return resolved.model_copy(update=update)


def print_result(result: dict[str, Any], path: Path) -> None:
    """Print the found function, the comparison, where the run is and what to do next."""
    dataset, seconds = result["dataset"], result["seconds"]
    what = "ratings" if result["task"] == "rating" else "interactions"
    console.print(
        f"{dataset['name']}: {dataset['users']:,} users, {dataset['items']:,} items, "
        f"{dataset['interactions']:,} {what}; split {result['split']['kind']} {result['split_fingerprint']}, "
        f"seed {result['seed']}",
        markup=False,
    )
    console.print(f"\nfound   score = {result['formula']}\n", style="bold", markup=False)
    table = Table("model", *headings(result))
    for column in table.columns[1:]:
        column.justify = "right"
    for row in comparison(result):
        table.add_row(row.name, *row.cells, style="bold green" if row.found else None)
    console.print(table)
    for sentence in verdicts(result):
        console.print(f"note: {sentence}", style="yellow", markup=False)
    regret = "not measured" if result["regret"] is None else f"{result['regret']:.4f}"
    metric = columns(result)[0].heading.removeprefix("valid ")
    console.print(
        f"regret against enumeration {regret} ({metric}, validation)   "
        f"search {seconds['search']:.1f} s, training {seconds['train']:.1f} s, baselines {seconds['baselines']:.1f} s, "
        f"peak memory {result['peak_memory_mb']:.0f} MiB",
        markup=False,
    )
    console.print(f"run     {path}\nnext    sif recommend {path} --user ID -k 10", markup=False)

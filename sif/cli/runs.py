"""`sif train`, `sif evaluate`, `sif recommend`: what to do with a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sif.api import load, rank_run, retrain, score
from sif.cells.retrain import retrain_cells, score_cells
from sif.cli.app import app, console, data_root, emit, errors, guarded
from sif.cli.cells import print_cell_score, print_trained_cell
from sif.cli.progress import TerminalProgress
from sif.cli.ranking import note_additive, print_ranking
from sif.errors import RunError
from sif.recipes import CellRecipe
from sif.runs import RunDirectory

__all__ = ["evaluate", "recommend", "train"]

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


@app.command()
@guarded
def train(
    run: RunArgument,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most (default: the recipe's).")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed for the weights.")] = None,
    all_data: Annotated[
        bool, typer.Option("--all-data", help="Train on every rating, for serving: no honest test remains.")
    ] = False,
    budget: Annotated[
        str, typer.Option(help="Runs of cells: the schedule to follow (default: full, that of the paper).")
    ] = "",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train what a run found again, and put the new model in its place."""
    directory = RunDirectory.open(run, needs="result.json")
    if isinstance(directory.recipe(), CellRecipe):
        if all_data:
            raise RunError(f"run {run} is of cells, and --all-data for ratings; leave it out")
        _train_cell(directory, budget, epochs, seed, device, as_json)
        return
    if budget:
        raise RunError(f"run {run} is of ratings: its recipe has no budgets; leave out --budget, or give --epochs")
    with TerminalProgress() as progress:
        done = retrain(
            run, epochs=epochs, seed=seed, all_data=all_data, device=device, root=data_root(), progress=progress
        )
    if as_json:
        emit(done)
        return
    result = directory.result()
    metric = result["metric"]
    everything = "every rating" if result["task"] == "rating" else "every interaction"
    trained = everything if all_data else f"validation {metric} {done['valid'][metric]:.4f}"
    console.print(
        f"trained {done['epochs']} epochs in {done['seconds']:.1f} s: {trained}\nmodel   {run}/model.safetensors"
    )


def _train_cell(
    directory: RunDirectory, budget: str, epochs: int | None, seed: int | None, device: str, as_json: bool
) -> None:
    run = directory.path
    try:
        with TerminalProgress() as progress:
            done = retrain_cells(
                run, budget=budget, epochs=epochs, seed=seed, device=device, root=data_root(), progress=progress
            )
    except KeyboardInterrupt:
        errors.print("the same command goes on where this stopped")
        raise
    if as_json:
        emit(done)
    else:
        print_trained_cell(done, run, directory.result()["metric"])


@app.command()
@guarded
def evaluate(
    run: RunArgument,
    ranking: Annotated[
        bool, typer.Option("--ranking", help="Runs of tables: rank the whole catalogue, beside popularity.")
    ] = False,
    k: Annotated[
        list[int] | None, typer.Option("-k", help="With --ranking: how many items (default: 10; may be repeated).")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="With --ranking: only ratings from here on are relevant (default: all are).")
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Evaluate the model of a run on its validation and test parts."""
    directory = RunDirectory.open(run, needs="result.json")
    if not ranking and (k or threshold is not None):
        raise RunError(f"{'-k' if k else '--threshold'} is of rankings; add --ranking, or leave it out")
    if ranking:
        ranked = rank_run(run, k=tuple(k or ()), threshold=threshold, device=device, root=data_root())
        if as_json:
            emit(ranked)
        else:
            print_ranking(ranked)
        return
    if isinstance(directory.recipe(), CellRecipe):
        scored = score_cells(run, device=device, root=data_root())
        if as_json:
            emit(scored)
        else:
            print_cell_score(scored)
        return
    metrics = score(run, device=device, root=data_root())
    if as_json:
        emit(metrics)
        return
    names = list(metrics["valid"] or {})
    table = Table("part", *names)
    for part, values in metrics.items():
        if values is not None:
            table.add_row(part, *(f"{values[name]:.4f}" for name in names))
    console.print(table)


@app.command()
@guarded
def recommend(
    run: RunArgument,
    user: Annotated[str, typer.Option(help="The user's id, as in the data.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many items.")] = 10,
    context: Annotated[str, typer.Option(help="The context (runs with a context mode; default: the last).")] = "",
    known: Annotated[bool, typer.Option("--known", help="Leave out items without any training interaction.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Recommend items that the user does not have yet, best first."""
    opened = load(run)
    items = opened.recommend(user, k, context=context or None, cold_items=not known)
    if as_json:
        emit({"user": user, "items": items})
        return
    titles = any(item["title"] for item in items)
    table = Table("", "item", "score", *(["title"] if titles else []))
    for rank, item in enumerate(items, 1):
        table.add_row(str(rank), str(item["item"]), f"{item['score']:.3f}", *([item["title"] or ""] if titles else []))
    console.print(table)
    if cold := sum(item["cold"] for item in items):
        errors.print(
            f"note: {cold} of these had no interaction in training; --known leaves such items out", markup=False
        )
    if len(items) < k:
        errors.print(f"note: only {len(items)} items are left that user {user} does not have", markup=False)
    if opened.additive:
        note_additive()

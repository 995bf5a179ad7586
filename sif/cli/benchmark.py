"""`sif benchmark`: the fair race of search strategies."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from sif.benchmark import (
    TABLES,
    Budget,
    ScoreRace,
    entrants_of,
    folder_of,
    race,
    recipe_benchmark,
    strategy_settings,
    table_benchmark,
)
from sif.cli.app import console, data_root, emit, errors, guarded
from sif.cli.progress import TerminalProgress
from sif.errors import RaceError

__all__ = ["benchmark", "print_race"]

_LONGEST = 40
"""How long the key of an architecture may be to stand in the table."""


@guarded
def benchmark(
    recipe: Annotated[str, typer.Option(help="Race on data: a recipe by name, or a recipe file.")] = "",
    space: Annotated[str, typer.Option(help=f"Race on a table: {' or '.join(TABLES)}.")] = "",
    strategies: Annotated[str, typer.Option(metavar="NAME,...", help="Strategies by name, or all.")] = "all",
    seeds: Annotated[int, typer.Option(help="Searches of each strategy.")] = 3,
    budget: Annotated[
        str,
        typer.Option(
            help="Of each search: 60s, 2m, 200evaluations, 24epochs (default: 30s; on tables 200evaluations)."
        ),
    ] = "",
    data: Annotated[
        str, typer.Option(help="Data to use instead of the recipe's, or those the table was made on.")
    ] = "",
    table: Annotated[str, typer.Option(help="File of the table (interaction-table: by default the one shipped).")] = "",
    task: Annotated[str, typer.Option(help="What a table is asked for: cifar10 and the like; rating or ranking.")] = "",
    scores: Annotated[
        str, typer.Option(metavar="NAME,...", help="nas-bench-201: training-free scores to correlate with the truth.")
    ] = "",
    cells: Annotated[int, typer.Option(help="nas-bench-201: how many random cells are scored for each seed.")] = 500,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe value, or STRATEGY.SETTING=VALUE."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the race (default: below runs/).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json in one line instead of a table.")] = False,
) -> None:
    """Race strategies: the same data, the same budget, the same final training, random search in every table."""
    if bool(recipe) == bool(space):
        raise RaceError("give --recipe NAME to race on data, or --space NAME to race on a table; one of the two")
    amount = Budget.parse(budget or ("30s" if recipe else "200evaluations"))
    settings, others = strategy_settings(changes or [])
    entrants = entrants_of([name.strip() for name in strategies.split(",") if name.strip()], settings)
    ranked = None
    if scores:
        names = tuple(name.strip() for name in scores.split(",") if name.strip())
        if space != "nas-bench-201":
            raise RaceError(
                "--scores are compared with the accuracies of cells: give --space nas-bench-201 --table FILE"
            )
        ranked = ScoreRace(names, table, cells, device=device, root=data_root())
        ranked.check()
    if recipe:
        if table or task:
            raise RaceError("--table and --task are for a race on a table (--space), not on a recipe; leave them out")
        problem: Any = recipe_benchmark(recipe, amount, data=data, changes=others, device=device, root=data_root())
        entrants = problem.with_own_settings(entrants)
        threads: Any = problem.instance.threads()
    else:
        if others:
            raise RaceError(f"--set {others[0]} changes a recipe, and --space {space} is a table; leave it out")
        problem, threads = (
            table_benchmark(space, amount, table=table, task=task, data=data, root=data_root()),
            nullcontext(),
        )
    folder = out or folder_of(Path(recipe).stem or space, problem, amount)
    try:
        with TerminalProgress() as progress, threads:
            told = race(problem, entrants, seeds=seeds, budget=amount, out=folder, scores=ranked, progress=progress)
    except KeyboardInterrupt:
        errors.print("the same command goes on where this stopped")
        raise
    if as_json:
        emit(told | {"race": str(folder)})
    else:
        print_race(told, folder)


def print_race(told: dict[str, Any], folder: Path) -> None:
    """Print a race: a row a strategy, best first, the best mean of each column in bold; then what must be known."""
    columns = told["columns"]
    found = [next(iter(row["best_architectures"].items())) for row in told["rows"] if row["best_architectures"]]
    short = all(len(key) <= _LONGEST for key, _ in found)
    table = Table("strategy", *(column["name"] for column in columns), "effort", *(["found most"] if short else []))
    for column in table.columns[1 : len(columns) + 1]:
        column.justify = "right"
    best = {column["name"]: _best(told["rows"], column) for column in columns}
    for row in told["rows"]:
        if row["status"] == "done":
            cells = [_cell(row["figures"].get(column["name"]), column, best) for column in columns]
            key, times = next(iter(row["best_architectures"].items()))
            effort = ", ".join(f"{spread['mean']:.0f} {name}" for name, spread in row["effort"].items())
            table.add_row(row["strategy"], *cells, effort, *([f"{key} ({times})"] if short else []))
    for row in told["rows"]:
        if row["status"] != "done":
            table.add_row(row["strategy"], row["status"], style="dim")
    console.print(table)
    unit = "s" if told["budget"]["unit"] == "seconds" else told["budget"]["unit"]
    console.print(
        f"{_where(told['benchmark'])}; budget {told['budget']['amount']:g} {unit} a search; "
        f"mean ± sample standard deviation over {len(told['seeds'])} seeds",
        markup=False,
    )
    _print_scores(told["scores"])
    for text, names in _remarks(told["rows"]).items():
        console.print(f"note: {', '.join(names)}: {text}", style="yellow", markup=False)
    console.print(f"written {folder}/results.json", markup=False)


def _print_scores(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    table = Table("score", "Spearman's rho", "Kendall's tau")
    columns = [{"name": name, "better": "more", "digits": 3} for name in ("spearman", "kendall_tau")]
    best: dict[str, float | None] = {}
    for column in columns:
        name = str(column["name"])
        best[name] = max((row[name]["mean"] for row in rows if row[name]["mean"] is not None), default=None)
    for row in rows:
        table.add_row(row["score"], *(_cell(row[str(column["name"])], column, best) for column in columns))
    console.print(table)
    console.print(f"scores of {rows[0]['cells']} random cells on one batch of CIFAR-10, with its true accuracy")
    for row in rows:
        if row["reason"]:
            console.print(f"note: {row['score']}: {row['reason']}", style="yellow", markup=False)


def _remarks(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return what must be known, each with the strategies that it is true of: refusals, failures, notes."""
    said: dict[str, list[str]] = {}
    for row in rows:
        failed = sum(run["status"] == "failed" for run in row["runs"])
        texts = [row["note"]]
        if row["status"] == "refused":
            texts.append(f"refused: {row['reason']}")
        elif failed:
            texts.append(f"failed on {failed} of {len(row['runs'])} seeds: {row['reason']}")
        for text in filter(None, texts):
            said.setdefault(text, []).append(row["strategy"])
    return said


def _cell(spread: dict[str, Any] | None, column: dict[str, Any], best: dict[str, float | None]) -> Text:
    if spread is None or spread["mean"] is None:
        return Text("-")
    deviation = "" if spread["std"] is None else f" ± {spread['std']:.{column['digits']}f}"
    winner = spread["mean"] == best[column["name"]]
    return Text(f"{spread['mean']:.{column['digits']}f}{deviation}", style="bold" if winner else "")


def _best(rows: list[dict[str, Any]], column: dict[str, Any]) -> float | None:
    """Return the best mean of a column, None where more is neither better nor worse."""
    means = [row["figures"][column["name"]]["mean"] for row in rows if column["name"] in row["figures"]]
    if column["better"] is None or not means:
        return None
    found: float = max(means) if column["better"] == "more" else min(means)
    return found


def _where(problem: dict[str, Any]) -> str:
    """Return in a few words where a race was run."""
    if problem["kind"] == "recipe":
        data, split = problem["dataset"], problem["split"]
        return f"{data['name']}, split {split['kind']} {split['fingerprint']}"
    if problem["kind"] == "nas-bench-201":
        best = ", ".join(f"{name} {value:.2f}" for name, value in problem["best"].items())
        return f"NAS-Bench-201, judged by the accuracy on {problem['task']}, best of each {best}"
    made = problem["made"]
    return f"table of {problem['points']} interaction functions on {made['data']}, task {problem['task']}"

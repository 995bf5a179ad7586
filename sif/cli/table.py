"""`sif table`: make a table of trained interaction functions, and say what one holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from sif.cli.app import console, data_root, emit, errors, guarded
from sif.cli.progress import TerminalProgress
from sif.datasets import read
from sif.errors import DataError
from sif.tabular import PLANS, TASKS, BuildProgress, InteractionTable, TaskName, build_table, journal_path, summary

__all__ = ["print_summary", "table"]

table = typer.Typer(help="Tables of interaction functions, each trained: make one, show one.", no_args_is_help=True)


@table.command("build")
@guarded
def build(
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    data: Annotated[str, typer.Option(help="A data set by name, or a file of ratings.")] = "movielens",
    seeds: Annotated[int, typer.Option(help="Trainings of each point.")] = 3,
    task: Annotated[
        Literal["rating", "ranking", "both"], typer.Option(help="What the points are trained for.")
    ] = "both",
    without: Annotated[
        str, typer.Option(metavar="NAME,...", help="Candidates to leave out of the space, such as minus,mlp.")
    ] = "",
    points: Annotated[int | None, typer.Option(help="Train that many points, drawn at random (default: all).")] = None,
) -> None:
    """Train the points of the wide space on ratings; the same command goes on where it was stopped."""
    if not out.parent.is_dir():
        raise DataError(f"no folder {out.parent}; make it first")
    tasks: tuple[TaskName, ...] = TASKS if task == "both" else (task,)
    names = [name.strip() for name in without.split(",") if name.strip()]
    plans = {each: PLANS[each].without(names) for each in tasks}
    interactions = read(data, root=data_root())
    try:
        with TerminalProgress() as bar:
            began = False

            def trained(progress: BuildProgress) -> None:
                nonlocal began
                if not began:
                    bar.stage("table")
                    bar.started("trainings", progress.total, progress.done - 1)
                    began = True
                bar.stepped()

            build_table(interactions, out, seeds=seeds, tasks=tasks, points=points, plans=plans, progress=trained)
    except KeyboardInterrupt:
        errors.print("the same command goes on where this stopped")
        raise
    console.print(f"written {out}\nkept    {journal_path(out)}\nnext    sif table show {out}", markup=False)


@table.command("show")
@guarded
def show(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A table (default: the one that ships).")
    ] = None,
    best: Annotated[int, typer.Option(help="How many of the best points to name.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Say what a table holds: the best points, how far seeds agree, which choice matters."""
    if best < 1:
        raise DataError(f"best = {best}; name 1 point or more")
    told = summary(InteractionTable.load(file), best)
    if as_json:
        emit(told)
    else:
        print_summary(told)


def print_summary(told: dict[str, Any]) -> None:
    """Print what `summary` returned: for each task the best points, the agreement of seeds, the weight of choices."""
    made = told["made"]
    console.print(
        f"{told['points']} points, seeds {', '.join(map(str, told['seeds']))}, on {made['data']} "
        f"({made['fingerprint']}); sif {made['versions']['sif']}, torch {made['versions']['torch']}",
        markup=False,
    )
    for name, task in told["tasks"].items():
        _print_task(name, task, made["splits"][name])
    for pair, rho in told["between"].items():
        console.print(f"between {pair}: Spearman {_number(rho)} of the points' mean test metrics", markup=False)


def _print_task(name: str, task: dict[str, Any], split: str) -> None:
    metric = task["metric"]
    rows = Table("point", f"test {metric}", f"valid {metric}", "parameters", "seconds", title=f"{name}: best points")
    for column in rows.columns[1:]:
        column.justify = "right"
    for entry in task["best"]:
        spread = "" if entry["std"] is None else f" ± {entry['std']:.4f}"
        figures = f"{entry['test']:.4f}{spread}", f"{entry['valid']:.4f}", f"{entry['parameters']:,}"
        rows.add_row(", ".join(entry["point"]), *figures, f"{entry['seconds']:.2f}")
    console.print(rows)
    predictors = list(dict.fromkeys(predictor for row in task["pairs"].values() for predictor in row))
    pairs = Table("operation", *predictors, title=f"best test {metric} of each operation and predictor")
    for operation, row in task["pairs"].items():
        pairs.add_row(operation, *(_number(row.get(predictor)) for predictor in predictors))
    console.print(pairs)
    published = (f"{model} {facts['rank']} ({facts['test']:.4f})" for model, facts in task["published"].items())
    lines = {
        "split": split,
        "quantiles": "best, quartiles, worst of the means: " + ", ".join(map(_number, task["quantiles"])),
        "published": "ranks of the models' points: " + (", ".join(published) or "-"),
        "seeds": f"deviation over seeds, of the median point, {_number(task['noise'])}; "
        f"{task['within_noise'] or '-'} points are within it of the best",
        "one seed": f"validation orders the points as another seed's: Spearman {_number(task['seed_rho'])}, "
        f"Kendall {_number(task['seed_tau'])}",
        "truth": f"one seed's validation orders them as the mean test metric: Spearman {_number(task['valid_rho'])}, "
        f"Kendall {_number(task['valid_tau'])}",
        "fidelity": "the same Spearman after epochs "
        + ", ".join(f"{epochs}: {_number(rho)}" for epochs, rho in task["fidelity"].items()),
        "explained": ", ".join(f"{choice} {100 * share:.1f} %" for choice, share in task["explained"].items()),
        "failed": f"{task['failed']} points",
        "cost": f"{task['seconds']:.0f} s of one processor core",
    }
    for label, text in lines.items():
        console.print(f"  {label:<10} {text}", markup=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"

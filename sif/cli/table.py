"""`sif table`: make a table of trained interaction functions, and say what one holds."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sif.cli.app import JsonOption, console, data_root, emit, guarded
from sif.cli.progress import TerminalProgress
from sif.cli.tables import print_table
from sif.datasets import read
from sif.errors import DataError
from sif.sheet import Line, Table
from sif.tabular import PLANS, TASKS, InteractionTable, TaskName, build_table, journal_path, summary

__all__ = ["print_summary", "table"]

table = typer.Typer(help="Tables of interaction functions, each trained: make one, show one.", no_args_is_help=True)


@table.command("build")
@guarded
def build(
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    data: Annotated[str, typer.Option(help="A data set by name, or a file of ratings.")] = "movielens",
    seeds: Annotated[int, typer.Option(help="Trainings of each point.")] = 3,
    task: Annotated[str, typer.Option(help=f"What the points are trained for: {', '.join(TASKS)}, or both.")] = "both",
    without: Annotated[
        str, typer.Option(metavar="NAME,...", help="Candidates to leave out of the space, such as minus,mlp.")
    ] = "",
    points: Annotated[int | None, typer.Option(help="Train that many points, drawn at random (default: all).")] = None,
) -> None:
    """Train the points of the wide space on ratings; the same command goes on where it was stopped."""
    if not out.parent.is_dir():
        raise DataError(f"no folder {out.parent}; make it first")
    if task not in (*TASKS, "both"):
        raise DataError(f"--task {task}: there are {', '.join(TASKS)}, and both")
    tasks: tuple[TaskName, ...] = TASKS if task == "both" else (task,)
    names = [name.strip() for name in without.split(",") if name.strip()]
    plans = {each: PLANS[each].without(names) for each in tasks}
    interactions = read(data, root=data_root())
    with TerminalProgress() as progress:
        build_table(interactions, out, seeds=seeds, tasks=tasks, points=points, plans=plans, progress=progress)
    console.print(f"written {out}\nkept    {journal_path(out)}\nnext    sif table show {out}")


@table.command("show")
@guarded
def show(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A table (default: the one that ships).")
    ] = None,
    best: Annotated[int, typer.Option(help="How many of the best points to name.")] = 10,
    as_json: JsonOption = False,
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
    )
    for name, task in told["tasks"].items():
        _print_task(name, task, made["splits"][name])
    for pair, rho in told["between"].items():
        console.print(f"between {pair}: Spearman {_number(rho)} of the points' mean test metrics")


def _print_task(name: str, task: dict[str, Any], split: str) -> None:
    metric = task["metric"]
    rows = []
    for entry in task["best"]:
        spread = "" if entry["std"] is None else f" ± {entry['std']:.4f}"
        figures = f"{entry['test']:.4f}{spread}", f"{entry['valid']:.4f}", f"{entry['parameters']:,}"
        rows.append(Line((", ".join(entry["point"]), *figures, f"{entry['seconds']:.2f}")))
    columns = ("point", f"test {metric}", f"valid {metric}", "parameters", "seconds")
    print_table(Table(columns, tuple(rows), title=f"{name}: best points"))
    predictors = list(dict.fromkeys(predictor for row in task["pairs"].values() for predictor in row))
    pairs = (Line((operation, *(_number(row.get(p)) for p in predictors))) for operation, row in task["pairs"].items())
    title = f"best test {metric} of each operation and predictor"
    print_table(Table(("operation", *predictors), tuple(pairs), title=title))
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
        console.print(f"  {label:<10} {text}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"

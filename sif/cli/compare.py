"""`sif compare`: what a run found beside other recommenders, each tuned under the same budget."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sif.cli.app import console, data_root, emit, guarded, remark
from sif.cli.progress import TerminalProgress
from sif.cli.ranking import note_two
from sif.cli.tables import print_table
from sif.compare import METHODS, compare_run
from sif.run_directory import RunDirectory
from sif.sheet import Line, Table

__all__ = ["compare", "print_comparison"]


@guarded
def compare(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    names: Annotated[
        str,
        typer.Option(
            "--with",
            metavar="NAME,...",
            help="Rivals to compare with, in the order they run: names, or package.module:object.",
        ),
    ] = ",".join(METHODS),
    budget: Annotated[float, typer.Option(help="Seconds of tuning for each method.")] = 60.0,
    seeds: Annotated[int, typer.Option(help="How often each chosen method is trained.")] = 3,
    k: Annotated[int | None, typer.Option("-k", help="Places that are judged (default: the run's, or 10).")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Only ratings from here on count (default: the run's, or all).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print compare.json in one line instead of a table.")] = False,
) -> None:
    """Compare what a run found with other recommenders, tuned, on its split; writes compare.json."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    with TerminalProgress() as progress:
        told = compare_run(
            run,
            wanted,
            k=k,
            threshold=threshold,
            budget=budget,
            seeds=seeds,
            root=data_root(),
            progress=progress,
        )
    note_two(run, "compared is what orders the lists, {lists}")
    if as_json:
        emit(told)
    else:
        print_comparison(told, RunDirectory.open(run).lists().path)


def print_comparison(told: dict[str, Any], run: Path) -> None:
    """Print what `compare_run` returned: a row a method, best on test first, then what a reader must know."""
    metric = told["metric"]
    figures = ("tried", "tuning s", "fit s", "MiB", "parameters")
    columns = ("rival", f"valid {metric}", f"test {metric}", "found - it [95 %]", "p (Holm)", *figures)
    done = [row for row in told["rows"] if row["status"] == "done"]
    ranked = sorted(done, key=lambda row: -row["test"][metric]["mean"])
    lines = [Line((row["name"], *_cells(row, metric)), best=row["versus"] is None) for row in ranked]
    lines += [Line((row["name"], "not run")) for row in told["rows"] if row["status"] != "done"]
    print_table(Table(columns, tuple(lines)))
    users = told["users"]
    console.print(
        f"{told['dataset']}: {users['all']:,} users ({users['test']:,} with a test pair), {told['items']:,} items, all "
        f"ranked; split {told['split']['kind']} {told['split']['fingerprint']}; mean ± sample standard deviation over "
        f"seeds {', '.join(map(str, told['seeds']))}; sign-flip test over users, 95 % bootstrap interval",
    )
    for sentence in _remarks(told):
        remark(sentence)
    console.print(f"written {run}/compare.json")


def _cells(row: dict[str, Any], metric: str) -> list[str]:
    test, versus, seconds = row["test"][metric], row["versus"], row["seconds"]
    spread = "" if test["std"] is None else f" ± {test['std']:.4f}"
    memory = "-" if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f}"
    return [
        f"{row['valid'][metric]:.4f}",
        f"{test['mean']:.4f}{spread}",
        "" if versus is None else f"{versus['difference']:+.4f} [{versus['low']:+.4f}, {versus['high']:+.4f}]",
        "" if versus is None else f"{versus['p_holm']:.4f}",
        f"{len(row['trials'])}/{row['points']}",
        f"{seconds['search'] + seconds['tuning']:.1f}",
        f"{seconds['fit']:.1f}",
        memory,
        "-" if row["parameters"] is None else f"{row['parameters']:,}",
    ]


def _remarks(told: dict[str, Any]) -> list[str]:
    """Return what a reader of the table must not miss."""
    rows, metric = told["rows"], told["metric"]
    said = [f"{row['name']}: {row['note']}" for row in rows if row["note"]]
    said += [f"{row['name']} did not run: {row['reason']}" for row in rows if row["status"] != "done"]
    cut = [row["name"] for row in rows if row["status"] == "done" and len(row["trials"]) < row["points"]]
    if cut:
        said.append(
            f"{told['budget_seconds']:g} s did not reach the whole grid of {', '.join(cut)}; --budget sets more seconds"
        )
    once = [row["name"] for row in rows if row["status"] == "done" and row["deterministic"]]
    if once and len(told["seeds"]) > 1:
        said.append(f"the seed changes nothing for {', '.join(once)}: trained once")
    better = [row for row in rows if row["versus"] is not None and row["versus"]["difference"] < 0]
    if better:
        best = max(better, key=lambda row: row["test"][metric]["mean"])
        p = best["versus"]["p_holm"]
        sure = "" if p < 0.05 else f", which may be chance (p = {p:.2f})"
        said.append(
            f"{best['name']} does better than what was found, by {-best['versus']['difference']:.4f} on test{sure}"
        )
    return said

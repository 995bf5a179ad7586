"""`sif benchmark`: the fair race of search strategies, and the suite of tables on which the study is judged."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from sif.benchmark import (
    TABLES,
    Budget,
    ScoreRace,
    SuiteOptions,
    entrants_of,
    folder_of,
    race,
    recipe_benchmark,
    strategy_settings,
    table_benchmark,
)
from sif.benchmark.entrants import ALL
from sif.benchmark.suite_arms import STUDY_PARTS
from sif.cells.networks import CELL_TABLES
from sif.cli.app import console, data_root, emit, guarded, remark
from sif.cli.progress import TerminalProgress
from sif.cli.suite import benchmark_suite, names_in
from sif.cli.tables import print_table
from sif.errors import RaceError
from sif.sheet import Line, Table

__all__ = ["benchmark", "print_race"]

_LONGEST = 40
"""How long the key of an architecture may be to stand in the table."""


@guarded
def benchmark(
    recipe: Annotated[str, typer.Option(help="Race on data: a recipe by name, or a recipe file.")] = "",
    space: Annotated[str, typer.Option(help=f"Race on a table: {' or '.join(TABLES)}.")] = "",
    suite: Annotated[
        Path | None, typer.Option(help="Race the study against random search and rivals on a folder of tables.")
    ] = None,
    strategies: Annotated[
        str, typer.Option(metavar="NAME,...", help="Strategies by name, or all. Of a suite: study, random, rivals.")
    ] = "all",
    seeds: Annotated[int, typer.Option(help="Searches of each strategy.")] = 3,
    budget: Annotated[
        str,
        typer.Option(
            help="Of each search: 60s, 2m, 200evaluations, 24epochs (default: 30s; on tables 200evaluations). "
            "Of a suite: 60s, 40trials; after a comma those that the study has too."
        ),
    ] = "",
    tables: Annotated[str, typer.Option(metavar="NAME,...", help="Of a suite: these alone.")] = "",
    without: Annotated[
        str,
        typer.Option(
            metavar="PART,...",
            help=f"Of a suite: the study without each too, or with one that recipes lack: {', '.join(STUDY_PARTS)}.",
        ),
    ] = "",
    jobs: Annotated[int, typer.Option(help="Of a suite: how many run at once.")] = 1,
    data: Annotated[
        str, typer.Option(help="Data to use instead of the recipe's, or those the table was made on.")
    ] = "",
    table: Annotated[str, typer.Option(help="File of the table (interaction-table: by default the one shipped).")] = "",
    task: Annotated[str, typer.Option(help="What a table is asked for: cifar10 and the like; rating or ranking.")] = "",
    scores: Annotated[
        str, typer.Option(metavar="NAME,...", help="Tables of cells: training-free scores to correlate with the truth.")
    ] = "",
    cells: Annotated[int, typer.Option(help="Tables of cells: how many random ones are scored for each seed.")] = 500,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe value, or STRATEGY.SETTING=VALUE."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the race (default: below runs/).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json in one line instead of a table.")] = False,
) -> None:
    """Race strategies: the same data, the same budget, the same final training, random search in every table."""
    if suite is not None:
        arms = () if strategies == ALL else names_in(strategies)
        lists = names_in(tables), arms, names_in(without), tuple(changes or [])
        options = SuiteOptions(names_in(budget) or ("60s",), seeds, *lists, jobs)
        refused = {"recipe": recipe, "space": space, "data": data, "table": table, "task": task, "scores": scores}
        benchmark_suite(suite, options, out, refused, as_json)
        return
    if tables or without:
        raise RaceError("--tables and --without are of a suite: give --suite FOLDER too, or leave them out")
    if bool(recipe) == bool(space):
        raise RaceError("give --recipe NAME to race on data, or --space NAME to race on a table; one of the two")
    amount = Budget.parse(budget or ("30s" if recipe else "200evaluations"))
    settings, others = strategy_settings(changes or [])
    entrants = entrants_of(names_in(strategies), settings)
    ranked = _score_race(scores, space, table, cells, device) if scores else None
    if recipe:
        if table or task:
            raise RaceError("--table and --task are for a race on a table (--space), not on a recipe; leave them out")
        problem: Any = recipe_benchmark(recipe, amount, data=data, changes=others, device=device, root=data_root())
        entrants = problem.with_own_settings(entrants)
        threads: Any = problem.instance.threads()
    else:
        if others:
            raise RaceError(f"--set {others[0]} changes a recipe, and --space {space} is a table; leave it out")
        problem = table_benchmark(space, amount, table=table, task=task, data=data, root=data_root())
        threads = nullcontext()
    folder = out or folder_of(Path(recipe).stem or space, problem, amount)
    with TerminalProgress() as progress, threads:
        told = race(problem, entrants, seeds=seeds, budget=amount, out=folder, scores=ranked, progress=progress)
    if as_json:
        emit(told | {"race": str(folder)})
    else:
        print_race(told, folder)


def _score_race(scores: str, space: str, table: str, cells: int, device: str) -> ScoreRace:
    if space not in CELL_TABLES:
        known = "|".join(CELL_TABLES)
        raise RaceError(f"--scores are compared with the accuracies of cells: give --space {known} --table FILE")
    names = tuple(name.strip() for name in scores.split(",") if name.strip())
    ranked = ScoreRace(names, space, table, cells, device=device, root=data_root())
    ranked.check()
    return ranked


def print_race(told: dict[str, Any], folder: Path) -> None:
    """Print a race: a row a strategy, best first, the best mean of each column in bold; then what must be known."""
    columns = told["columns"]
    found = [next(iter(row["best_architectures"].items())) for row in told["rows"] if row["best_architectures"]]
    short = all(len(key) <= _LONGEST for key, _ in found)
    best = [_best(told["rows"], column) for column in columns]
    lines = []
    for row in (row for row in told["rows"] if row["status"] == "done"):
        spreads = [row["figures"].get(column["name"]) for column in columns]
        key, times = next(iter(row["best_architectures"].items()))
        effort = ", ".join(f"{spread['mean']:.0f} {name}" for name, spread in row["effort"].items())
        after = (effort, f"{key} ({times})") if short else (effort,)
        lines.append(_line(row["strategy"], spreads, [column["digits"] for column in columns], best, after))
    lines += [Line((row["strategy"], row["status"])) for row in told["rows"] if row["status"] != "done"]
    heads = ("strategy", *(column["name"] for column in columns), "effort", *(["found most"] if short else []))
    print_table(Table(heads, tuple(lines), text=(0, len(columns) + 1, len(columns) + 2)))
    unit = "s" if told["budget"]["unit"] == "seconds" else told["budget"]["unit"]
    console.print(
        f"{_where(told['benchmark'])}; budget {told['budget']['amount']:g} {unit} a search; "
        f"mean ± sample standard deviation over {len(told['seeds'])} seeds",
    )
    _print_scores(told["scores"])
    for text, names in _remarks(told["rows"]).items():
        remark(f"{', '.join(names)}: {text}")
    console.print(f"written {folder}/results.json")


def _print_scores(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    names = "spearman", "kendall_tau"
    best = [max((row[name]["mean"] for row in rows if row[name]["mean"] is not None), default=None) for name in names]
    lines = [_line(row["score"], [row[name] for name in names], [3, 3], best) for row in rows]
    print_table(Table(("score", "Spearman's rho", "Kendall's tau"), tuple(lines)))
    console.print(f"scores of {rows[0]['cells']} random cells on one batch of CIFAR-10, with its true accuracy")
    for row in rows:
        if row["reason"]:
            remark(f"{row['score']}: {row['reason']}")


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


def _line(
    name: str,
    spreads: list[dict[str, Any] | None],
    digits: list[int],
    best: list[float | None],
    after: tuple[str, ...] = (),
) -> Line:
    """Return a row of means and deviations, the best means marked."""
    means = [None if spread is None else spread["mean"] for spread in spreads]
    cells = (_cell(spread, places) for spread, places in zip(spreads, digits, strict=True))
    marked = [at for at, (mean, top) in enumerate(zip(means, best, strict=True), 1) if mean is not None and mean == top]
    return Line((name, *cells, *after), marked=tuple(marked))


def _cell(spread: dict[str, Any] | None, digits: int) -> str:
    if spread is None or spread["mean"] is None:
        return "-"
    deviation = "" if spread["std"] is None else f" ± {spread['std']:.{digits}f}"
    return f"{spread['mean']:.{digits}f}{deviation}"


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
    if problem["kind"] in CELL_TABLES:
        best = ", ".join(f"{name} {value:.2f}" for name, value in problem["best"].items())
        name = CELL_TABLES[problem["kind"]].benchmark
        return f"{name}, judged by the accuracy on {problem['task']}, best of each {best}"
    made = problem["made"]
    return f"table of {problem['points']} interaction functions on {made['data']}, task {problem['task']}"

"""`sif portfolio`: make a portfolio of configurations, and say what one holds."""

from pathlib import Path
from typing import Annotated

import typer

from sif.cli.app import JsonOption, console, emit, guarded, note
from sif.cli.progress import TerminalProgress
from sif.cli.tables import print_table
from sif.errors import DataError
from sif.sheet import Line, Table
from sif.studies.portfolio_build import build_portfolio, trainings_path
from sif.studies.portfolio_table import mean_of, read_portfolio
from sif.studies.suite_file import FILE, read_suite

__all__ = ["portfolio"]

portfolio = typer.Typer(
    help="Configurations that studies try first: train them on a suite, show them.", no_args_is_help=True
)


@portfolio.command("build")
@guarded
def build(
    folder: Annotated[
        Path, typer.Argument(help=f"Where the suite's files are; its {FILE}, if it has one, says which.")
    ],
    out: Annotated[Path, typer.Option(help="The Parquet file to write; its entries stand beside it as JSON.")],
    suite: Annotated[Path | None, typer.Option(help="A suite's TOML file (default: the development suite).")] = None,
    tables: Annotated[str, typer.Option(metavar="NAME,...", help="Of the suite's tables, those to use.")] = "",
    configurations: Annotated[int, typer.Option(help="How many are trained on each table, of each task.")] = 100,
    seconds: Annotated[
        float | None, typer.Option(help="Of one core, for all trainings, earlier calls' included.")
    ] = None,
) -> None:
    """Train the same configurations on every table of a suite; the same command goes on where it was stopped."""
    if not out.parent.is_dir():
        raise DataError(f"no folder {out.parent}; make it first")
    if not folder.is_dir():
        raise DataError(f"no folder {folder}\n  Give the folder that holds the files of the suite's tables.")
    own = folder / FILE if suite is None and (folder / FILE).is_file() else suite
    names = [name.strip() for name in tables.split(",") if name.strip()]
    held, notes = read_suite(own).held(folder, names)
    for each in notes:
        note(each)
    if not held:
        raise DataError(f"{folder} holds no table of the suite\n  Give --suite FILE, with its tables' files.")
    with TerminalProgress() as progress:
        build_portfolio(held, folder, out, configurations=configurations, seconds=seconds, progress=progress)
    console.print(f"written {out}\nentries {out.with_suffix('.json')}\nkept    {trainings_path(out)}")


@portfolio.command("show")
@guarded
def show(
    file: Annotated[Path | None, typer.Argument(help="A portfolio's table (default: the one that ships).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how a portfolio does on tables that were left out when it was made, and what its entries are."""
    held = read_portfolio(file)
    told = {
        task: {
            "tables": list(tried.tables),
            "configurations": len(tried.configurations),
            "left_out": tried.left_out(),
            "entries": [tried.configurations[place].plain() for place in tried.cover()],
        }
        for task, tried in held.items()
    }
    if as_json:
        emit(told | {"made": held.made})
        return
    for task, facts in told.items():
        title = f"{task}: regret on a table that was left out (0 best, 1 median of {facts['configurations']})"
        at = ("first 1", "first 3", "first 6", "first 12")
        rows = [
            Line((name, kind, *(f"{value:.3f}" for value in regrets.values())))
            for name, kinds in {**facts["left_out"], "mean": _means(facts["left_out"])}.items()
            for kind, regrets in kinds.items()
        ]
        print_table(Table(("table", "order", *at), tuple(rows), title=title, text=(0, 1)))


def _means(left_out: dict[str, dict[str, dict[int, float]]]) -> dict[str, dict[int, float]]:
    return {kind: mean_of(left_out, kind) for kind in ("cover", "before", "random") if mean_of(left_out, kind)}

"""`sif portfolio`: make a portfolio of configurations, and say what one holds."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sif.cli.app import JsonOption, console, emit, guarded, note
from sif.cli.progress import TerminalProgress
from sif.cli.tables import print_table
from sif.errors import DataError
from sif.sheet import Line, Table
from sif.studies.portfolio_build import build_portfolio, trainings_path
from sif.studies.portfolio_table import AT, Tried, mean_of, read_portfolio
from sif.studies.portfolio_tables import recipes_tried
from sif.studies.suite_file import FILE, Suite, read_suite, suite_of

__all__ = ["portfolio"]

portfolio = typer.Typer(
    help="Configurations that studies try first: train them on a suite, show them.", no_args_is_help=True
)


@portfolio.command("build")
@guarded
def build(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER|FILE...", help=f"A suite's files; a {FILE} there says which. Or tables of yours."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The Parquet file to write; its entries stand beside it as JSON.")],
    suite: Annotated[Path | None, typer.Option(help="A suite's TOML file (default: the development suite).")] = None,
    tables: Annotated[str, typer.Option(metavar="NAME,...", help="Of the suite's tables, those to use.")] = "",
    configurations: Annotated[int, typer.Option(help="How many are trained on each table, of each task.")] = 100,
    seconds: Annotated[
        float | None, typer.Option(help="Of one core, for all trainings, earlier calls' included.")
    ] = None,
    begin: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An earlier table, whose trainings are taken over.")
    ] = None,
    tasks: Annotated[
        str, typer.Option(metavar="NAME,...", help="Those to try; of others the earlier table is kept.")
    ] = "",
) -> None:
    """Train the same configurations on every table of a suite; the same command goes on where it was stopped."""
    if not out.parent.is_dir():
        raise DataError(f"no folder {out.parent}; make it first")
    folder, chosen = _suite(sources, suite)
    held, notes = chosen.held(folder, [name.strip() for name in tables.split(",") if name.strip()])
    for each in notes:
        note(each)
    if not held:
        raise DataError(f"{folder} holds no table of the suite\n  Give --suite FILE, and the folder of its files.")
    names = [name.strip() for name in tasks.split(",") if name.strip()]
    if unknown := [name for name in names if name not in recipes_tried()]:
        raise DataError(f"no task {', '.join(unknown)}; there are {', '.join(recipes_tried())}")
    if begin is not None and begin.resolve() == out.resolve():
        raise DataError("--out is the earlier table, which is kept as it is; give another")
    earlier = None if begin is None else read_portfolio(begin)
    more: dict[str, Any] = {"configurations": configurations, "seconds": seconds, "begin": earlier, "tasks": names}
    with TerminalProgress() as progress:
        build_portfolio(held, folder, out, **more, progress=progress)
    console.print(f"written {out}\nentries {out.with_suffix('.json')}\nkept    {trainings_path(out)}")


def _suite(sources: list[Path], file: Path | None) -> tuple[Path, Suite]:
    """Return the folder of the files, and the suite that they are."""
    if missing := [str(path) for path in sources if not path.exists()]:
        raise DataError(f"there is no {', '.join(missing)}\n  Give the folder of a suite's files, or files of tables.")
    if len(sources) == 1 and sources[0].is_dir():
        own = sources[0] / FILE
        return sources[0], read_suite(own if file is None and own.is_file() else file)
    if file is not None or any(path.is_dir() for path in sources):
        raise DataError("give one folder, with or without --suite, or files of tables alone")
    return Path(), suite_of(sources)


@portfolio.command("show")
@guarded
def show(
    file: Annotated[Path | None, typer.Argument(help="A portfolio's table (default: the one that ships).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how a portfolio does on tables that were left out when it was made, and what its entries are."""
    held = read_portfolio(file)
    if as_json:
        emit({task: _facts(tried) for task, tried in held.items()} | {"made": held.made})
        return
    for task, tried in held.items():
        left_out = tried.left_out()
        count = f"{len(tried.configurations)} configurations on {len(tried.tables)} tables"
        title = f"{task}: {count}; regret on a table that was left out, 0 its best and 1 its median"
        means = {kind: mean for kind in ("cover", "before", "random") if (mean := mean_of(left_out, kind))}
        rows = [
            Line((name, kind, *(f"{value:.3f}" for value in regrets.values())))
            for name, kinds in {**left_out, "mean": means}.items()
            for kind, regrets in kinds.items()
        ]
        columns = ("table", "order", *(f"first {at}" for at in AT))
        print_table(Table(columns, tuple(rows), title=title, text=(0, 1)))
        for number, entry in enumerate(_facts(tried)["entries"], 1):
            choices = " ".join("/".join(names) for names in entry["choices"].values())
            settings = " ".join(f"{key.rpartition('.')[2]}={value:g}" for key, value in entry["settings"].items())
            console.print(f"  {number:<3}{choices}  {settings}  ({entry['by']})")


def _facts(tried: Tried) -> dict[str, Any]:
    return {
        "tables": list(tried.tables),
        "configurations": len(tried.configurations),
        "left_out": tried.left_out(),
        "entries": [tried.configurations[place].plain() for place in tried.cover()],
    }

"""`sif benchmark --suite`: the study against random search and rivals on a folder of tables."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sif.benchmark import SuiteOptions, run_suite
from sif.cli.app import console, emit
from sif.cli.progress import TerminalProgress
from sif.errors import RaceError

__all__ = ["benchmark_suite", "names_in"]

_OUT = Path("runs/suite")


def names_in(text: str) -> tuple[str, ...]:
    """Return the names of a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def benchmark_suite(
    folder: Path, options: SuiteOptions, out: Path | None, others: Mapping[str, object], as_json: bool
) -> None:
    """Run the suite, and say where its results are.

    Args:
        folder: Of the tables.
        options: What is run.
        out: The folder of the runs; None: runs/suite.
        others: Options of races that were typed too, by name.
        as_json: Whether to print the results as one line.

    Raises:
        RaceError: An option is for races alone.
    """
    if given := [f"--{name}" for name, value in others.items() if value]:
        raise RaceError(
            f"{', '.join(given)} {'is' if len(given) == 1 else 'are'} for a race, not for --suite; leave out"
        )
    made = out or _OUT
    with TerminalProgress() as progress:
        told = run_suite(folder, made, options, command=_command(options), progress=progress)
    if as_json:
        emit(told | {"suite": str(made)})
        return
    page = (made / "suite.md").read_text(encoding="utf-8")
    console.print(page.partition("## In short\n\n")[2].partition("\n\n## ")[0], markup=False, highlight=False)
    console.print(f"written {made}/results.json and suite.md")


def _command(options: SuiteOptions) -> str:
    """Return the command as somebody else types it, the folder of their tables left open."""
    lists: dict[str, Any] = {"tables": options.tables, "strategies": options.arms, "without": options.without}
    words = ["sif", "benchmark", "--suite", "FOLDER", "--budget", ",".join(options.budgets)]
    words += ["--seeds", str(options.seeds), "--jobs", str(options.jobs)]
    for name, values in lists.items():
        words += [f"--{name}", ",".join(values)] if values else []
    for change in options.changes:
        words += ["--set", change]
    return shlex.join(words)

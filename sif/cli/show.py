"""Results on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sif.cli.app import console, errors
from sif.cli.tables import print_table
from sif.problems import problem
from sif.report.retrained import retrained_remark

__all__ = ["note", "print_result"]


def note(text: str) -> None:
    """Print a note beside the answer, on stderr."""
    errors.print(f"note: {text}", markup=False)


def print_result(result: dict[str, Any], run: Path) -> None:
    """Print what a run found, the comparison, where the run is and what to do next."""
    sheet = problem(result["task"]).sheet(result)
    console.print(sheet.facts, markup=False)
    console.print(f"\nfound   {sheet.found}\n", style="bold", markup=False)
    print_table(sheet.table)
    for sentence in (*sheet.remarks, *retrained_remark(result)):
        console.print(f"note: {sentence}", style="yellow", markup=False)
    console.print(sheet.cost, markup=False)
    console.print(f"run     {run}\nnext    {sheet.next.format(run=run)}", markup=False)

"""Results on the terminal."""

from pathlib import Path
from typing import Any

from sif.cli.app import console, remark
from sif.cli.tables import print_table
from sif.problems import problem
from sif.report.retrained import retrained_remark

__all__ = ["print_result"]


def print_result(result: dict[str, Any], run: Path) -> None:
    """Print what a run found, the comparison, where the run is and what to do next."""
    sheet = problem(result["task"]).sheet(result)
    if sheet.warning:
        remark(sheet.warning)
    console.print(sheet.facts)
    console.print(f"\nfound   {sheet.found}\n", style="bold")
    for table in (sheet.table, *sheet.also):
        print_table(table)
    for sentence in (*sheet.remarks, *retrained_remark(result)):
        remark(sentence)
    console.print(sheet.cost)
    console.print(f"run     {run}\nnext    {sheet.next.format(run=run)}")

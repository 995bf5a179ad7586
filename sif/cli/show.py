"""Tables and sheets on the terminal."""

from pathlib import Path
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from sif.cli.app import console, remark
from sif.problems import problem
from sif.report.retrained import retrained_remark
from sif.sheet import Table

__all__ = ["print_result", "print_table"]


def print_table(table: Table) -> None:
    """Print a table: figures to the right, the best rows set off."""
    shown = RichTable(table.columns[0], *table.columns[1:])
    for column in shown.columns[1:]:
        column.justify = "right"
    for row in table.rows:
        shown.add_row(*map(Text, row.cells), style="bold green" if row.best else None)
    console.print(shown)


def print_result(result: dict[str, Any], run: Path) -> None:
    """Print what a run found, the comparison, where the run is and what to do next."""
    sheet = problem(result["task"]).sheet(result)
    console.print(sheet.facts)
    console.print(f"\nfound   {sheet.found}\n", style="bold")
    print_table(sheet.table)
    for sentence in (*sheet.remarks, *retrained_remark(result)):
        remark(sentence)
    console.print(sheet.cost)
    console.print(f"run     {run}\nnext    {sheet.next.format(run=run)}")

"""Results on the terminal."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sif.cli.app import JsonOption, console, emit, guarded, remark
from sif.cli.tables import print_table
from sif.problems import problem
from sif.report.retrained import retrained_remark
from sif.run_directory import RunDirectory
from sif.runs.published import published_remarks, published_table, standing
from sif.studies.bought import ended

__all__ = ["print_result", "show"]


@guarded
def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")], as_json: JsonOption = False
) -> None:
    """Show what a finished run found, beside what it was compared with."""
    result = RunDirectory.open(run, needs="result.json").result()
    if as_json:
        emit(result | {"run": str(run)})
    else:
        print_result(result, run)


def print_result(result: dict[str, Any], run: Path) -> None:
    """Print what a run found, the comparison, where the run is and what to do next."""
    sheet = problem(result["task"]).sheet(result)
    if sheet.warning:
        remark(sheet.warning)
    console.print(sheet.facts)
    console.print(f"\nfound   {sheet.found}\n", style="bold")
    told = standing(RunDirectory.open(run))
    for table in (sheet.table, *sheet.also, *([] if told is None else [published_table(told)])):
        print_table(table)
    beside = () if told is None else published_remarks(told)
    for sentence in (*sheet.remarks, *retrained_remark(result), *ended(result), *beside):
        remark(sentence)
    console.print(sheet.cost)
    console.print(f"run     {run}\nnext    {sheet.next.format(run=run)}")

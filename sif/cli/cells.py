"""What the command line prints of a run of cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from sif.cli.app import console
from sif.report.cells import cell_rows, cell_verdicts

__all__ = ["print_cell_score", "print_cells", "print_trained_cell"]


def print_cells(result: dict[str, Any], path: Path) -> None:
    """Print the found cell, the comparison, where the run is and what to do next."""
    dataset, seconds = result["dataset"], result["seconds"]
    console.print(
        f"{dataset['name']}: budget {result['budget']}, strategy {result['strategy']['name']}, seed {result['seed']}",
        markup=False,
    )
    console.print("\nfound   " + result["cell"].replace("; ", "\n        ") + "\n", style="bold", markup=False)
    columns, rows = cell_rows(result)
    table = Table(columns[0], *columns[1:])
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row, style="bold green" if row[0] == "found" else None)
    console.print(table)
    for sentence in cell_verdicts(result):
        console.print(f"note: {sentence}", style="yellow", markup=False)
    console.print(
        f"search {seconds['search']:.1f} s, training {seconds['train']:.1f} s, "
        f"random search {seconds['random_search']:.1f} s, peak memory {result['peak_memory_mb']:.0f} MiB",
        markup=False,
    )
    console.print(f"run     {path}\nnext    sif train {path}", markup=False)


def print_trained_cell(done: dict[str, Any], run: Path, metric: str) -> None:
    """Print what a final training came to."""
    valid = "no validation part" if done["valid"] is None else f"validation {metric} {done['valid'][metric]:.4f}"
    console.print(
        f"trained {done['epochs']} epochs (budget {done['budget']}) in {done['seconds']:.1f} s: {valid}\n"
        f"model   {run}/model.safetensors\nnext    sif evaluate {run}",
        markup=False,
    )


def print_cell_score(scored: dict[str, Any]) -> None:
    """Print the metrics and the cost of a trained network."""
    names = list(scored["test"])
    table = Table("part", *names)
    for part in ("valid", "test"):
        if scored[part] is not None:
            table.add_row(part, *(f"{scored[part][name]:.4f}" for name in names))
    console.print(table)
    console.print(f"parameters {scored['parameters']:,}   multiply-adds {scored['multiply_adds']:,}", markup=False)

"""`sif export`: a model taken out of its run, for other programs to serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sif.cells.export import export_cells
from sif.cli.app import app, console, emit, guarded
from sif.cli.ranking import note_additive
from sif.recipes import CellRecipe
from sif.runs import RunDirectory
from sif.serve.export import FORMATS, export_run

__all__ = ["export"]


@app.command()
@guarded
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    to: Annotated[str, typer.Option(help=f"The format: {', '.join(FORMATS)}; of cells onnx, safetensors.")] = "npz",
    out: Annotated[Path | None, typer.Option(help="The file (default: named after the run, in this folder).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Write the model of a run for other programs: folded tables with the raw ids, or the network of a cell."""
    if isinstance(RunDirectory.open(run, needs="result.json").recipe(), CellRecipe):
        _export_cells(run, to, out, force, as_json)
        return
    path, written = export_run(run, to, out, force=force)
    folded = written.folded
    facts = {
        "path": str(path),
        "format": to,
        "bytes": path.stat().st_size,
        "users": folded.n_users,
        "items": folded.n_items,
        "formula": written.facts["formula"],
        "folded": folded.describe(),
        "additive": folded.additive,
    }
    if as_json:
        emit(facts)
        return
    console.print(
        f"{path}: {to}, {facts['bytes'] / 1e6:.1f} MB, {folded.n_users} users, {folded.n_items} items\n"
        f"{facts['formula']}\nfolded to {facts['folded']}",
        markup=False,
    )
    if folded.additive:
        note_additive()


def _export_cells(run: Path, to: str, out: Path | None, force: bool, as_json: bool) -> None:
    path, meta = export_cells(run, to, out, force=force)
    facts = {"path": str(path), "format": to, "bytes": path.stat().st_size, "cell": meta["cell"]}
    if as_json:
        emit(facts)
        return
    console.print(f"{path}: {to}, {facts['bytes'] / 1e6:.1f} MB\n{meta['cell']}\n{meta['inputs']}", markup=False)

"""`sif export`: a model taken out of its run, for other programs to serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sif.cli.app import console, emit, guarded
from sif.cli.ranking import note_additive
from sif.problems import problem
from sif.run_directory import RunDirectory
from sif.serve.export import FORMATS

__all__ = ["export"]


@guarded
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    to: Annotated[str, typer.Option(help=f"The format: {', '.join(FORMATS)}; of cells onnx, safetensors.")] = "npz",
    out: Annotated[Path | None, typer.Option(help="The file (default: named after the run, in this folder).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file where it exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Write the model of a run for other programs: folded tables with the raw ids, or the network of a cell."""
    facts = problem(RunDirectory.open(run, needs="result.json").result()["task"]).export(run, to, out, force)
    if as_json:
        emit(facts)
        return
    told = [f"{facts['path']}: {to}, {facts['bytes'] / 1e6:.1f} MB"]
    if "users" in facts:
        told[0] += f", {facts['users']} users, {facts['items']} items"
    told.append(facts["formula"])
    told += [facts["inputs"]] if "inputs" in facts else []
    if "folded" in facts:
        told.append(f"folded to {facts['folded']}")
    console.print("\n".join(told), markup=False)
    if facts.get("additive"):
        note_additive()

"""`sif export`: a model taken out of its run, for other programs to serve."""

from pathlib import Path
from typing import Annotated

import typer

from sif.cli.app import JsonOption, console, emit, guarded
from sif.cli.ranking import note_additive, note_two
from sif.errors import RunError
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
    ratings: Annotated[
        bool, typer.Option("--ratings", help="Of a run with two models: that which predicts ratings, not lists.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the model of a run for other programs: folded tables with the raw ids, or the network of a cell."""
    result = RunDirectory.open(run, needs="result.json").result()
    if ratings and result.get("ranking") is None:
        raise RunError(f"run {run} has one model; leave out --ratings")
    facts = problem(result["task"]).export(run, to, out, force, **({"ratings": True} if ratings else {}))
    if not ratings:
        note_two(run, "this is what orders the lists; what predicts ratings: sif export {run} --ratings")
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
    console.print("\n".join(told))
    if facts.get("additive"):
        note_additive()

"""Running a recipe of cells to the end, and the finished run."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import torch

from nasp_core.evaluation import evaluate
from nasp_core.genotype import Genotype
from nasp_core.network import Network
from nasp_core.types import State
from sif.cells.cost import multiply_adds, parameters
from sif.cells.data import CellData
from sif.cells.networks import build_cells
from sif.cells.pipeline import CellPipeline
from sif.cells.results import CellResult, CellRow, CellSeconds, Truth
from sif.checkpoint import load_tree, save_tree
from sif.errors import RunError
from sif.recipes import CellRecipe
from sif.report.cells import cell_report, cell_text
from sif.results import SCHEMA_VERSION, Metrics, hardware, peak_memory_mb, versions
from sif.runs import FinishedRun, Progress, RunDirectory, Stages

__all__ = ["MODEL_FORMAT", "CellRun", "execute_cells", "write_cell_model"]

MODEL_FORMAT = "sif-cells-1"


class CellRun(FinishedRun):
    """A finished run of cells: what was found, how good it is, and its network."""

    @property
    def cell(self) -> str:
        """The found cell as text."""
        return cell_text(self.genotype)

    def network(self) -> Network:
        """Return the trained network on the CPU, ready to answer; raises `RunError` when it was not trained yet."""
        return load_cell_model(self.directory)[0].eval()


def execute_cells(
    recipe: CellRecipe,
    data: CellData,
    directory: RunDirectory,
    *,
    progress: Progress | None = None,
    checkpoint_seconds: float = 20.0,
) -> None:
    """Run a recipe on prepared data to the end, into `directory`; picks up there what an interrupted run left."""
    directory.write_recipe(recipe)
    stages = Stages(directory, progress or Progress(), checkpoint_seconds)
    stages.check(data.fingerprint)
    pipeline = CellPipeline(recipe, data, stages)
    began = time.perf_counter()
    found = pipeline.search()
    genotype = Genotype.from_json(found["genotype"])
    directory.write("genotype.json", genotype.to_json())
    trained = pipeline.train(genotype, "train") if recipe.retrain else None
    drawn, drawn_trained = pipeline.random(found), None
    if drawn is not None and recipe.retrain:
        drawn_trained = pipeline.train(Genotype.from_json(drawn["genotype"]), "train random search's find")
    rows = {"found": _row(pipeline, found, trained)}  # the first time that a test part is read
    if drawn is not None:
        rows["random search"] = _row(pipeline, drawn, drawn_trained)
    if trained is not None:
        write_cell_model(directory, genotype, recipe, data, trained)
    seconds = CellSeconds(
        search=found["seconds"],
        train=0.0 if trained is None else trained["seconds"],
        random_search=0.0 if drawn is None else rows["random search"].seconds,
        total=time.perf_counter() - began,
    )
    epochs = None if trained is None else {"best": trained["epoch"], "most": pipeline.final.epochs}
    result = _result(recipe, data, rows, seconds, epochs).model_dump()
    trace = [*found["trace"], *(trained["trace"] if trained else [])]
    directory.write("trace.jsonl", "".join(json.dumps(record) + "\n" for record in trace))
    directory.write("report.html", cell_report(result, trace))
    directory.write_json("result.json", result)
    directory.clear()


def _result(
    recipe: CellRecipe,
    data: CellData,
    rows: dict[str, CellRow],
    seconds: CellSeconds,
    epochs: dict[str, int] | None,
) -> CellResult:
    own, truth = rows["found"], data.truth
    return CellResult(
        schema_version=SCHEMA_VERSION,
        task=recipe.task,
        dataset=data.description | {"name": data.name, "fingerprint": data.fingerprint},
        strategy={"name": recipe.strategy.name, "parts": recipe.make_strategy().describe()},
        recipe="recipe.toml",
        budget=recipe.budget,
        seed=recipe.seed,
        genotype=own.genotype,
        cell=own.cell,
        metric=data.search.metric,
        maximise=data.search.maximise,
        supernet={data.search.metric: own.searched},
        metrics=Metrics(valid=own.valid, test=own.test),
        rows=rows,
        best=None if truth is None else Truth(cell="the best of each data set", accuracy=truth.best()),
        mean=None if truth is None else Truth(cell="the mean of all cells", accuracy=truth.mean()),
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(data.device),
        parameters=own.parameters,
        multiply_adds=own.multiply_adds,
        epochs=epochs,
        fingerprint=data.fingerprint,
        test_reads=data.test_reads,
        retrained=None,
        versions=versions(),
        hardware=hardware(data.device),
    )


def _row(pipeline: CellPipeline, found: State, trained: State | None) -> CellRow:
    """Return the row of a cell; reads the test part once if its network was trained."""
    genotype, data = Genotype.from_json(found["genotype"]), pipeline.data
    network, truth = pipeline.build(genotype), data.truth
    test = None
    if trained is not None:
        network.load_state_dict(trained["weights"])
        test = evaluate(network, data.final, split="test", precision=pipeline.final.precision)
    text = cell_text(genotype)
    return CellRow(
        genotype=json.loads(genotype.to_json()),
        cell=text,
        searched=found["metric"],
        valid=(trained or {}).get("valid") or None,
        test=test,
        seconds=found["seconds"] + (trained["seconds"] if trained else 0.0),
        parameters=parameters(network),
        multiply_adds=multiply_adds(network, data.example, data.per),
        trials=len(found["scores"]) or None,
        truth=None if truth is None else Truth(cell=text, accuracy=truth.of(text)),
    )


def write_cell_model(
    directory: RunDirectory, genotype: Genotype, recipe: CellRecipe, data: CellData, trained: Mapping[str, Any]
) -> None:
    """Write model.safetensors: the weights, and all that it takes to build the network they belong to."""
    tree = {
        "format": MODEL_FORMAT,
        "genotype": genotype.to_json(),
        "budget": recipe.budget,
        "network": recipe.network_settings(),
        "facts": data.facts,
        "preparation": data.preparation(),
        "weights": trained["weights"],
        "epoch": trained["epoch"],
    }
    save_tree(directory.path / "model.safetensors", tree)


def load_cell_model(directory: RunDirectory, device: torch.device | str = "cpu") -> tuple[Network, dict[str, Any]]:
    """Return the network of a run with its trained weights, and the tree of its file."""
    path = directory.path / "model.safetensors"
    if not path.is_file():
        raise RunError(f"run {directory.path} has a found cell, but no trained network yet: sif train {directory.path}")
    tree = load_tree(path)
    if tree.get("format") != MODEL_FORMAT:
        raise RunError(f"{path} is not a network of cells; search again")
    network = build_cells(Genotype.from_json(tree["genotype"]), tree["network"], tree["facts"])
    network.load_state_dict(tree["weights"])
    return network.to(device), tree

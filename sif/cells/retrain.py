"""Training the found cell of a run with its full schedule, and scoring its network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasp_core.evaluation import evaluate
from sif.cells.cost import multiply_adds, parameters
from sif.cells.data import CellData, prepare_cells
from sif.cells.pipeline import CellPipeline, check_cell_recipe
from sif.cells.run import load_cell_model, write_cell_model
from sif.errors import RunError
from sif.recipes import CellRecipe, load_recipe
from sif.recipes.budgets import FULL
from sif.report.cells import cell_report
from sif.runs import RETRAINING, Progress, RunDirectory, Stages

__all__ = ["retrain_cells", "score_cells"]


def _prepared(directory: RunDirectory, budget: str, device: str, root: Path | None) -> tuple[CellRecipe, CellData]:
    """Return the run's recipe under a budget, and its data, checked to be those it was made with."""
    recipe = load_recipe(directory.file("recipe.toml"), budget=budget)
    assert isinstance(recipe, CellRecipe)
    if not recipe.dataset:
        raise RunError(f"run {directory.path} was made from data in memory, which it does not keep; search a data set")
    data = prepare_cells(recipe, device=device, root=root, table=False)
    made_with = directory.result()["fingerprint"]
    if data.fingerprint != made_with:
        raise RunError(
            f"{recipe.dataset} is not what run {directory.path} was made with: {data.fingerprint}, then {made_with}; "
            "bring the data back, or search again"
        )
    return recipe, data


def _rewrite(directory: RunDirectory, changed: dict[str, Any]) -> None:
    """Change the result of a run, and its page with it; the rows stay those of the search, trained alike."""
    result = directory.result() | changed
    trace = [json.loads(line) for line in directory.file("trace.jsonl").read_text().splitlines()]
    directory.write("report.html", cell_report(result, trace))
    directory.write_json("result.json", result)


def _retrace(directory: RunDirectory, trace: list[dict[str, Any]]) -> None:
    """Put a training behind the trace of the search, in place of an earlier one: done twice, it is as done once."""
    lines = directory.file("trace.jsonl").read_text().splitlines()
    of_search = [line for line in lines if not json.loads(line).get("retraining")]
    retraining = [json.dumps(record | {"retraining": True}) for record in trace]
    directory.write("trace.jsonl", "".join(line + "\n" for line in [*of_search, *retraining]))


def retrain_cells(
    run: str | Path,
    *,
    budget: str = "",
    epochs: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    root: Path | None = None,
    progress: Progress | None = None,
    checkpoint_seconds: float = 20.0,
) -> dict[str, Any]:
    """Train the found cell of a finished run in its final network and replace the run's model.

    `budget` is the recipe's schedule to follow (default: the full one), `epochs` shortens it. A training that was
    killed goes on where it was when it is asked for again with the same values. Returns budget, epochs, seed, seconds
    and the validation metrics (None without a validation part). The old model stays until the new one is whole.
    """
    directory = RunDirectory.open(run, needs="result.json")
    recipe, data = _prepared(directory, budget or FULL, device, root)
    check_cell_recipe(recipe, data.facts)
    training = recipe.training("train")
    if epochs is not None:
        training = replace(training, epochs=epochs, min_steps=0)
    seed = recipe.seed if seed is None else seed
    stages = Stages(directory, progress or Progress(), checkpoint_seconds, RETRAINING)
    stages.check(data.fingerprint)
    pipeline, genotype = CellPipeline(recipe, data, stages), directory.genotype()
    name = f"train {recipe.budget} {training.epochs} epochs seed {seed}"
    done = pipeline.train(genotype, name, training, seed)
    write_cell_model(directory, genotype, recipe, data, done)
    network = pipeline.build(genotype)
    valid = done["valid"] or None
    facts = {"budget": recipe.budget, "epochs": training.epochs, "seed": seed, "seconds": done["seconds"]}
    changed = {
        "metrics": {"valid": valid, "test": None},
        "epochs": {"best": done["epoch"], "most": training.epochs},
        "parameters": parameters(network),
        "multiply_adds": multiply_adds(network, data.example, data.per),
        "retrained": facts,
    }
    _retrace(directory, done["trace"])
    _rewrite(directory, changed)
    stages.forget(name)
    return facts | {"valid": valid}


def score_cells(run: str | Path, *, device: str = "auto", root: Path | None = None) -> dict[str, Any]:
    """Return what a run's trained network scores and costs: `valid` and `test` metrics, parameters, multiply-adds.

    Fills in the test metrics where retraining left them open. Raises `RunError` when the network is not trained yet.
    """
    directory = RunDirectory.open(run, needs="result.json")
    network, tree = load_cell_model(directory)
    recipe, data = _prepared(directory, tree["budget"], device, root)
    network = network.to(data.device)
    precision = recipe.training("train").precision
    metrics = {
        "valid": evaluate(network, data.final, precision=precision) if data.judged else None,
        "test": evaluate(network, data.final, split="test", precision=precision),
    }
    result = directory.result()
    if result["metrics"]["test"] is None:
        _rewrite(directory, {"metrics": metrics})
    cost = {"parameters": parameters(network), "multiply_adds": multiply_adds(network, data.example, data.per)}
    return {"metric": result["metric"], **metrics, **cost}

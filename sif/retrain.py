"""Training and scoring the found function of a run again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nasp_core.evaluation import evaluate
from sif.checkpoint import load_tree
from sif.data import Prepared, make_task, prepare
from sif.datasets import Split
from sif.errors import RunError
from sif.models.build import build_network
from sif.recipes import Recipe
from sif.runs import RETRAINING, Progress, RunDirectory, Stages, trained_stage, write_model
from sif.threads import threads_for

__all__ = ["data_to_judge", "retrain", "score"]


def _data(directory: RunDirectory, device: str, root: Path | None) -> Prepared:
    """Return the run's data, checked to be those it was made with."""
    recipe = _recipe(directory)
    if not recipe.dataset:
        raise RunError(
            f"run {directory.path} was made from data in memory, which it does not keep; "
            "search again from a file to train or evaluate it later"
        )
    data = prepare(recipe, device=device, root=root)
    made_with = directory.result()["split_fingerprint"]
    if data.split.fingerprint != made_with:
        raise RunError(
            f"{recipe.dataset} is not what run {directory.path} was made with: split {data.split.fingerprint}, then "
            f"{made_with}; bring the data back, or search again"
        )
    return data


def _recipe(directory: RunDirectory) -> Recipe:
    recipe = directory.recipe()
    if not isinstance(recipe, Recipe):
        raise RunError(f"run {directory.path} is of task {recipe.task}, not of ratings")
    return recipe


def retrain(
    run: str | Path,
    *,
    epochs: int | None = None,
    seed: int | None = None,
    all_data: bool = False,
    device: str = "auto",
    root: Path | None = None,
    progress: Progress | None = None,
    checkpoint_seconds: float = 2.0,
) -> dict[str, Any]:
    """Train the found function of a finished run from fresh weights and replace its model.

    With `all_data` every rating is used, for as many epochs as validation chose before; such a model has no
    honest validation or test figure, and gets none. Returns epochs, seconds, seed and the validation metrics. The old
    model stays until the new one is whole. A training that was killed goes on when it is asked for again alike.
    """
    directory = RunDirectory.open(run, needs="result.json")
    data = _data(directory, device, root)
    recipe, genotype, result = _recipe(directory), directory.genotype(), directory.result()
    training = recipe.final_training(result.get("tuned", {}))
    if all_data:
        chosen = epochs or int(load_tree(directory.path / "model.safetensors")["epoch"])
        training = replace(training, epochs=chosen, patience=None, keep_best=False, evaluate_every=0, min_steps=0)
        data = _on_everything(recipe, data)
    elif epochs is not None:
        training = replace(training, epochs=epochs, min_steps=0)
    seed = recipe.seed if seed is None else seed
    stages = Stages(directory, progress or Progress(), checkpoint_seconds, RETRAINING)
    stages.check(data.split.fingerprint)
    name = f"train {training.epochs} epochs seed {seed}{' on all data' if all_data else ''}"
    network, key = build_network(genotype, data.task), genotype.key()
    with threads_for(recipe, data.task.device):
        done = trained_stage(stages, name, network, data.task, training, key, seed)
    valid = None if all_data else done["valid"]
    write_model(directory, genotype, done["weights"], done["epoch"], data)
    facts = {"epochs": len(done["trace"]), "seed": seed, "all_data": all_data, "seconds": done["seconds"]}
    changed = {"metrics": {"valid": valid, "test": None}, "scale": data.scale, "retrained": facts}
    directory.write_json("result.json", result | changed)
    stages.forget(name)
    return facts | {"valid": valid}


def _on_everything(recipe: Recipe, data: Prepared) -> Prepared:
    everything = np.sort(np.concatenate([data.split.train, data.split.valid, data.split.test]))
    none = np.empty(0, np.int64)
    whole = Split(everything, none, none, "all", data.split.seed, None, data.split.fingerprint)
    return Prepared(
        data.interactions, whole, make_task(recipe, data.interactions, whole, data.task.device), data.titles
    )


def data_to_judge(directory: RunDirectory, device: str = "auto", root: Path | None = None) -> Prepared:
    """Return the data of a finished run of ratings, with the split it was made with.

    Raises `RunError` for a model trained on all data: there is nothing left to judge it by.
    """
    if (directory.result().get("retrained") or {}).get("all_data"):
        raise RunError(
            f"the model of run {directory.path} was trained on every rating; nothing is left to evaluate it on"
        )
    return _data(directory, device, root)


def score(run: str | Path, *, device: str = "auto", root: Path | None = None) -> dict[str, dict[str, float] | None]:
    """Return the metrics of a run's model on validation and test; fills them in where retraining left them open.

    Raises `RunError` for a model trained on all data: there is nothing left to judge it by.
    """
    directory = RunDirectory.open(run, needs="result.json")
    data, result = data_to_judge(directory, device, root), directory.result()
    network = build_network(directory.genotype(), data.task)
    network.load_state_dict(load_tree(directory.path / "model.safetensors")["weights"])
    metrics: dict[str, dict[str, float] | None] = {"valid": evaluate(network, data.task), "test": None}
    if len(data.split.test):
        metrics["test"] = evaluate(network, data.task, split="test")
    if result["metrics"]["test"] is None:
        directory.write_json("result.json", result | {"metrics": metrics})
    return metrics

"""What a run brings to a comparison: its split as a table, and its best architecture as one among the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasp_core.search import train_genotype
from sif.checkpoint import load_tree
from sif.compare.entrants import ComparedEntrant
from sif.errors import RunError
from sif.problems import problem
from sif.problems.handing import method_of
from sif.problems.table_problem import TableProblem
from sif.problems.tables import TableInstance
from sif.results import FOUND, is_refit
from sif.rivals.handed import baseline_in
from sif.rivals.method import Fit, Fitted, Method, Settings
from sif.rivals.pair_table import PairTable
from sif.run_directory import RunDirectory
from sif.runs.after import as_trained, judged
from sif.serve.model import opened_model
from sif.serve.networks import network_form
from sif.spaces.build import is_additive, parameters_of
from sif.spaces.saved import BLEND_FORMAT
from sif.tasks import RankingSettings

__all__ = ["ComparedRun", "best_of", "open_run"]


@dataclass(frozen=True)
class ComparedRun:
    """What a run brings: its table, its best architecture, and on what it is judged (`metric` over `k` places).

    `seed` is the run's, the first of those that methods are trained with.
    """

    table: PairTable
    best: ComparedEntrant
    metric: str
    k: int
    threshold: float | None
    seed: int
    dataset: str
    split: dict[str, Any]


def open_run(
    run: str | Path, *, k: int | None = None, threshold: float | None = None, root: Path | None = None
) -> ComparedRun:
    """Return what a finished run brings; raises `RunError` and `DataError` saying why it cannot be compared.

    A ranking run is judged as it was searched: on its own metric, `k` and `threshold`. Of a run of ratings all pairs
    rated above 0 count, or those rated `threshold` or more, and ndcg is the metric.
    """
    directory = RunDirectory.open(run, needs="result.json")
    own, instance = _opened(directory, root)
    data = instance.data
    settings = RankingSettings(k=10 if k is None else k, threshold=threshold)
    task = instance.ranking_task(settings)
    if own.ranks:
        given = [name for name, value in (("k", k), ("threshold", threshold)) if value is not None]
        if given:
            raise RunError(
                f"run {run} ranks, and is compared on its own {task.metric} and threshold; leave out {', '.join(given)}"
            )
    rating, notes = data.interactions.rating, list[str]()
    if task.settings.weight != "none":
        notes.append("learnt with weights")
    if task.settings.threshold is None and rating is not None and (zeros := int((rating <= 0).sum())):
        notes.append(f"{zeros} pairs rated 0 or less are left out; --threshold counts from another rating on")
    return ComparedRun(
        table=PairTable.of(task),
        best=_best(directory, own, instance, notes),
        metric=task.settings.metric,
        k=task.settings.k,
        threshold=task.settings.threshold,
        seed=instance.recipe.seed,
        dataset=data.interactions.name,
        split=data.split.describe(),
    )


def best_of(run: str | Path, root: Path | None = None) -> Method:
    """Return how the best architecture of a finished run learns."""
    directory = RunDirectory.open(run, needs="result.json")
    return _best(directory, *_opened(directory, root), ()).method


def _opened(directory: RunDirectory, root: Path | None) -> tuple[TableProblem, TableInstance]:
    own = problem(directory.result()["task"])
    if not isinstance(own, TableProblem):
        raise RunError(f"run {directory.path} is of {own.what}, and comparisons are of recommenders; `sif evaluate` it")
    instance = judged(directory, "cpu", root)
    assert isinstance(instance, TableInstance)
    if instance.recipe.context != "none":
        raise RunError(f"run {directory.path} has a context mode, and comparisons are of two; `sif evaluate` it")
    return own, instance


def _best(directory: RunDirectory, own: TableProblem, instance: TableInstance, more: Sequence[str]) -> ComparedEntrant:
    """Return what the run hands over: of a ranking run trained with each seed, of ratings the model as it stands."""
    result, model = directory.result(), opened_model(load_tree(directory.file("model.safetensors")))
    blended = model.tree["format"] == BLEND_FORMAT
    counts = model.rival and model.tree["network"] and not baseline_in(model.tree).trained
    learns = own.ranks and not counts and not blended
    notes = [] if own.ranks else ["the model of the run as it stands, of one seed, trained to predict ratings"]
    if not learns and is_refit(result):
        notes.append("refit on training and validation part, of which the rivals learn the first alone")
    if model.rival and not own.ranks and model.objective.units is None:
        notes = ["the model of the run as it stands, of one seed"]
    if blended and own.ranks:
        notes.append("the blend of the run as it stands, of one seed")
    if is_additive(model.genotype) if model.genotype else model.form.additive:
        what = "the model" if model.rival else "the function"
        notes.append(f"{what} is additive, f(user) + g(item): it ranks the items alike for every user")
    seconds = result["seconds"]
    told = model.genotype.to_json() if model.genotype else json.dumps(model.rival, sort_keys=True)
    fit = _trained(directory, instance) if learns else _as_it_stands(directory, instance, model.parameters)
    own_way = method_of(model.rival["name"]) if learns and model.rival and not model.tree["network"] else None
    if own_way is not None and model.rival is not None:
        fit = _by_method(own_way, model.rival["settings"])
    method = Method(
        fit,
        deterministic=not learns or (own_way is not None and own_way.deterministic),
        searched=seconds["search"] + (seconds["train"] if learns else 0.0),
        note="; ".join((*notes, *more)),
        key=hashlib.sha256(told.encode() + directory.file("model.safetensors").read_bytes()).hexdigest()[:16],
        weighted=True,
    )
    return ComparedEntrant(FOUND, model.formula, method)


def _by_method(method: Method, chosen: Settings) -> Fit:
    """Train a rival that learns in its own way, under the settings that the run chose."""
    return lambda table, settings, seed: method.fit(table, chosen, seed)


def _as_it_stands(directory: RunDirectory, instance: TableInstance, parameters: int | None) -> Fit:
    def fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
        result = directory.result()
        model = as_trained(instance, result)
        assert isinstance(model, TableInstance)
        return Fitted(model.served(directory), parameters, result["seconds"]["train"])

    return fit


def _trained(directory: RunDirectory, instance: TableInstance) -> Fit:
    """Train it anew, by the recipe's own schedule or its own; with the seed of the run this is the model of the run."""

    def fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
        trainee, task = instance.trainee(directory), instance.data.task
        network = trainee.network
        training = instance.training(trainee.tuned)
        train_genotype(network, instance.final_task, training, key=trainee.key, seed=seed)
        return Fitted(network_form(network, task.sizes, task.objective, lists=True), parameters_of(network))

    return fit

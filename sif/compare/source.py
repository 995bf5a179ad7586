"""What a run brings to a comparison: its split as a table, and its best architecture as one among the others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from nasp_core.search import train_genotype
from sif.compare.entrants import ComparedEntrant
from sif.errors import RunError
from sif.problems import problem
from sif.problems.table_problem import TableProblem
from sif.problems.tables import TableInstance
from sif.results import FOUND
from sif.rivals.method import Fit, Fitted, Method, Settings
from sif.rivals.pair_table import PairTable
from sif.run_directory import RunDirectory
from sif.runs.after import judged
from sif.serve.folding import Folded
from sif.spaces.build import is_additive, parameters_of
from sif.tasks import RankingSettings, RankingTask

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
    if own.ranks:
        task = cast(RankingTask, data.task)
        given = [name for name, value in (("k", k), ("threshold", threshold)) if value is not None]
        if given:
            raise RunError(
                f"run {run} ranks, and is compared on its own {task.metric} and threshold; leave out {', '.join(given)}"
            )
    else:
        settings = RankingSettings(k=10 if k is None else k, threshold=threshold)
        task = RankingTask(data.interactions, data.split, settings)
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
    """Return the best architecture: of a ranking run trained with each seed, of ratings the model as it stands."""
    result, genotype = directory.result(), directory.genotype()
    model = directory.file("model.safetensors")
    ranks = own.ranks
    notes = [] if ranks else ["the model of the run as it stands, of one seed, trained to predict ratings"]
    if is_additive(genotype):
        notes.append("the function is additive, f(user) + g(item): it ranks the items alike for every user")
    seconds = result["seconds"]
    method = Method(
        _trained(directory, instance) if ranks else _as_it_stands(directory, instance),
        deterministic=not ranks,
        searched=seconds["search"] + (seconds["train"] if ranks else 0.0),
        note="; ".join((*notes, *more)),
        key=hashlib.sha256(genotype.to_json().encode() + model.read_bytes()).hexdigest()[:16],
        weighted=True,
    )
    return ComparedEntrant(FOUND, instance.formula(genotype), method)


def _as_it_stands(directory: RunDirectory, instance: TableInstance) -> Fit:
    def fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
        network = instance.load_model(directory)
        return Fitted(Folded(network).scores, parameters_of(network), directory.result()["seconds"]["train"])

    return fit


def _trained(directory: RunDirectory, instance: TableInstance) -> Fit:
    """Train it anew, by the recipe's own schedule; with the seed of the run this is the model of the run."""

    def fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
        genotype = directory.genotype()
        network = instance.build(genotype)
        training = instance.training(directory.result()["tuned"])
        train_genotype(network, instance.final_task, training, key=genotype.key(), seed=seed)
        return Fitted(Folded(network).scores, parameters_of(network))

    return fit

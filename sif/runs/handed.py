"""A rival trained on a problem and handed over by a run, as an architecture is: served, judged, trained again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasp_core.search import train_genotype
from nasp_core.types import State
from sif.errors import RunError
from sif.host import shielded
from sif.problems import open_recipe, problem_of
from sif.problems.base import Changes
from sif.problems.handing import FormNetwork, fitted_tree, method_of, rival_on, trained_tree
from sif.problems.tables import TableInstance, baseline_of
from sif.report.html import report
from sif.results import SCHEMA_VERSION, Handed, Metrics, Result, Row, Seconds, hardware, peak_memory_mb, versions
from sif.rivals.handed import LearntRival
from sif.rivals.known import rival
from sif.rivals.pair_table import PairTable
from sif.run_directory import RunDirectory
from sif.serve.model import opened_model

__all__ = ["rival_run", "train_rival"]


def train_rival(
    instance: TableInstance,
    name: str,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    *,
    own_way: bool = False,
) -> State:
    """Train a rival on an opened problem, and return it as the tree of a model, for `TableInstance.hand_over`.

    A rival with a network that a run of this problem trains is trained so, by the recipe's own schedule; any other
    learns in its own way from the ranking of the problem.

    Args:
        instance: The problem on its data.
        name: Of the rival.
        settings: Changes of the recipe's settings for a network (`l2`, `embedding_dim`, `learning_rate`); else the
            point of the method's grid. None: the recipe's own, and the first point.
        seed: Of the training; None: the recipe's.
        own_way: Whether it learns in its own way even where it has such a network.

    Raises:
        RunError: What it learnt cannot be saved; with the reason.
    """
    seed = instance.recipe.seed if seed is None else seed
    found = rival(name, error=RunError)
    with instance.threads():
        if own_way or found.baseline(instance.recipe.asks) is None:
            method = method_of(name)
            chosen = dict(method.grid[0] if settings is None else settings)
            fitted = method.fit(PairTable.of(instance.ranking_task(), needs=("train",)).without_test(), chosen, seed)
            return fitted_tree(instance, LearntRival(name, chosen, seed), fitted)
        changes: Changes = dict(settings or {})
        baseline = baseline_of(instance.recipe, name)
        network, epoch = instance.rival(baseline).build(changes), None
        if baseline.trained:
            key, training = f"baseline/{name}", instance.training(changes)
            epoch = train_genotype(network, instance.final_task, training, key=key, seed=seed).epoch
        return trained_tree(instance, LearntRival(name, changes, seed, epoch), network)


@shielded(draws=True)
def rival_run(
    recipe: Any,
    name: str,
    out: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    own_way: bool = False,
    root: Path | None = None,
) -> Any:
    """Train one rival and return a finished run that hands it over, without any search.

    Args:
        recipe: Of a table, as `sif.recipes.load_recipe` returns it.
        name: Of the rival.
        out: The run directory to make.
        settings: As `train_rival` takes them.
        seed: Of the training; None: the recipe's.
        own_way: As `train_rival` takes it.
        root: Folder of data sets.

    Raises:
        RunError: The recipe is of no table, or what the rival learnt cannot be saved.
    """
    instance = open_recipe(recipe, device="cpu", root=root)
    if not isinstance(instance, TableInstance):
        raise RunError(f"{recipe.origin} is of no table, and rivals are of tables")
    tree = train_rival(instance, name, settings, seed, own_way=own_way)
    directory = RunDirectory.create(Path(out), name)
    with directory.alone("training"):
        directory.write_recipe(recipe.model_dump())
        instance.hand_over(directory, tree)
        directory.write("trace.jsonl", "")
        result = _result(instance, tree)
        directory.write("report.html", report(problem_of(recipe), result, []))
        directory.write_json("result.json", result)
    return problem_of(recipe).run(directory)


def _result(instance: TableInstance, tree: State) -> dict[str, Any]:
    """Return the result of a run of one rival; reads the test part once where the run's task can judge it."""
    model = opened_model(tree)
    judged = tree["network"] is not None or instance.judges_rankings
    network = rival_on(instance, model) if judged else FormNetwork(model.form, model.parameters)
    valid, test = (instance.evaluate(network, part) if judged else None for part in ("valid", "test"))
    told = model.handed()
    assert told is not None
    settings, learnt = dict(told["settings"]), model.parameters or 0
    row = Row(valid=valid, test=test, seconds=0.0, settings=settings, parameters=learnt)
    described: dict[str, Any] = {"split": None, "scale": None, "truth": None, "budget": None} | instance.describe()
    epochs = None if model.epoch is None else {"best": model.epoch, "most": instance.most_epochs()}
    return Result(
        schema_version=SCHEMA_VERSION,
        task=instance.recipe.task,
        strategy={"name": "none"},
        recipe="recipe.toml",
        seed=told["seed"],
        genotype={},
        formula=model.formula,
        metric=instance.final_task.metric,
        maximise=instance.final_task.maximise,
        metrics=Metrics(valid=valid, test=test),
        rows={told["name"]: row},
        enumeration=None,
        regret=None,
        seconds=Seconds(search=0.0, train=0.0, rivals=0.0, evaluate=0.0, total=0.0),
        peak_memory_mb=peak_memory_mb(instance.device),
        parameters=row.parameters,
        multiply_adds=None,
        tuned={},
        epochs=epochs,
        fingerprint=instance.fingerprint,
        test_reads=instance.test_reads(),
        retrained=None,
        handed=Handed(**told),
        versions=versions(),
        hardware=hardware(instance.device),
        **described,
    ).model_dump()

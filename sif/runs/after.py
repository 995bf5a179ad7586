"""What comes after a search: the model trained again, and judged again."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasp_core.loop import Observer
from nasp_core.optimise import Training
from nasp_core.training import train
from sif.checkpoint import load_tree
from sif.errors import RunError
from sif.host import shielded
from sif.problems import problem
from sif.problems.base import Instance, Trainee
from sif.recipes.budgets import FULL
from sif.recipes.changes import Change, changes_of, training_changes
from sif.recipes.load import load_recipe
from sif.recipes.strategy import StrategyRecipe
from sif.report.html import report
from sif.results import is_refit
from sif.run_directory import RunDirectory
from sif.runs.stages import RETRAINING, Stages, trained_stage

__all__ = ["as_trained", "judged", "on_its_data", "reopened", "retrain", "score", "train_on_all"]

_OF_VALIDATION = ("train.patience", "train.keep_best", "train.evaluate_every", "train.min_steps")
"""Settings of a training that validation stops or judges: one on all data has no such part."""


def reopened(
    directory: RunDirectory,
    device: str = "auto",
    root: Path | None = None,
    budget: str = "",
    changes: Sequence[str | Change] = (),
) -> Instance:
    """Return a finished run's recipe, with `changes`, on its data, checked to be those it was made with.

    Raises:
        RunError: the run was made from data in memory, or the data are not what they were.
    """
    result = directory.result()
    own = problem(result["task"])
    if budget and not own.budgeted:
        raise RunError(
            f"run {directory.path} is of {own.what}: its recipe has no budgets; leave out --budget, or give --epochs"
        )
    found = not result.get("handed")  # a rival, or a blend, knows by which settings it learnt
    tuned = {key: value for key, value in result["tuned"].items() if "." in key and found}
    recipe = load_recipe(directory.file("recipe.toml"), [*changes_of(tuned), *changes], budget)
    return on_its_data(directory, recipe, lambda: own.reopen(recipe, device=device, root=root))


def on_its_data(directory: RunDirectory, recipe: Any, opened: Callable[[], Instance]) -> Instance:
    """Return a recipe on the data of a finished run, checked to be those it was made with.

    Args:
        directory: The finished run.
        recipe: To open.
        opened: Opens it.

    Raises:
        RunError: the run was made from data in memory, or the data are not what they were.
    """
    result = directory.result()
    if not recipe.dataset:
        raise RunError(
            f"run {directory.path} was made from data in memory, which it does not keep; "
            "search again from a file to train or evaluate it later"
        )
    instance = opened()
    if instance.fingerprint != result["fingerprint"]:
        raise RunError(
            f"{recipe.dataset} is not what run {directory.path} was made with: {instance.fingerprint}, then "
            f"{result['fingerprint']}; bring the data back, or search again"
        )
    return instance


def judged(directory: RunDirectory, device: str = "auto", root: Path | None = None) -> Instance:
    """Return what a finished run's model can be judged by.

    Raises:
        RunError: it was trained on all data, so that there is nothing left to judge it by; and as `reopened` does.
    """
    result = directory.result()
    retrained = result.get("retrained") or {}
    if retrained.get("all_data"):
        raise RunError(
            f"the model of run {directory.path} was trained on every rating; nothing is left to evaluate it on"
        )
    return reopened(directory, device, root, retrained.get("budget") or result["budget"] or "")


def as_trained(instance: Instance, result: dict[str, Any]) -> Instance:
    """Return what a run's model is judged by as it was trained: after a refit without a validation part.

    Args:
        instance: The run's recipe on its data (`judged`).
        result: Of the run.
    """
    return instance.on_both() if is_refit(result) else instance


@shielded(draws=True)
def retrain(
    run: str | Path,
    *,
    budget: str = "",
    epochs: int | None = None,
    seed: int | None = None,
    all_data: bool = False,
    changes: Sequence[str | Change] = (),
    device: str = "auto",
    root: Path | None = None,
    progress: Observer | None = None,
    checkpoint_seconds: float | None = None,
) -> dict[str, Any]:
    """Train what a finished run found from fresh weights, and replace the run's model.

    Of a run with two models it is the one that predicts ratings; the one that orders lists is that of the run inside
    (`RunDirectory.lists`). The old model stays until the new one is whole. A training that was killed goes on when it
    is asked for again with the same values.

    Args:
        run: a run directory.
        budget: of recipes that have budgets: the schedule to follow (default: the full one).
        epochs: instead of the schedule's.
        seed: of the weights and batches (default: the recipe's).
        all_data: use every rating, for as many epochs as validation chose before; such a model has no honest
            validation or test figure, and gets none.
        changes: of the training, as `train.KEY=VALUE` or by `sif.recipes.changes_of`; they win over what tuning chose.
        device: `auto`, `cpu` or `cuda`.
        root: folder of data sets.
        progress: shows how the training goes on.
        checkpoint_seconds: how much work a kill may cost.

    Returns:
        `epochs`, `seed`, `all_data`, `budget`, `seconds` and the `valid` metrics (None without a validation part).

    Raises:
        RunError: the run is not finished, its data have changed, or it cannot be trained so.
    """
    directory = RunDirectory.open(run, needs="result.json")
    settings = training_changes(changes, _OF_VALIDATION if all_data else ())
    if epochs is not None and "train.epochs" in settings:
        raise RunError(f"two numbers of epochs: {epochs}, and train.epochs = {settings['train.epochs']}; give one")
    result = directory.result()
    budgeted = problem(result["task"]).budgeted
    with directory.alone("training"):
        instance = reopened(directory, device, root, budget or (FULL if budgeted else ""), changes)
        if settings:  # checked beside a strategy that fits everywhere: the run's own may be of another process
            any_strategy = StrategyRecipe(name="random")
            problem(result["task"]).check(instance.recipe.model_copy(update={"strategy": any_strategy}))
        instance = instance.on_everything() if all_data else instance
        trainee = instance.trainee(directory)
        if trainee.fit is not None and (epochs is not None or settings):
            given = ", ".join([*(["epochs"] if epochs is not None else []), *settings])
            raise RunError(
                f"run {run} hands over {trainee.key}, which learns in its own way; leave out {given}, "
                "or compare it with other settings: sif compare RUN"
            )
        tuned = {key: value for key, value in trainee.tuned.items() if f"train.optimiser.{key}" not in settings}
        training = instance.training(tuned)
        if all_data:
            if epochs is None and "train.epochs" not in settings and trainee.fit is None:
                epochs = int(load_tree(directory.file("model.safetensors"))["epoch"])
            training = _blind(training)
        if epochs is not None:
            training = replace(training, epochs=epochs, min_steps=0)
        every = instance.checkpoint_seconds if checkpoint_seconds is None else checkpoint_seconds
        stages = Stages(directory, progress or Observer(), every, RETRAINING)
        asked = {"seed": seed, "all_data": all_data} | settings
        return _retrained(directory, instance, trainee, training, stages, asked)


def _retrained(
    directory: RunDirectory,
    instance: Instance,
    trainee: Trainee,
    training: Training,
    stages: Stages,
    asked: dict[str, Any],
) -> dict[str, Any]:
    """Train what the run hands over as one stage, put its model in place, and return the facts."""
    seed, all_data = asked.pop("seed"), asked.pop("all_data")
    seed = instance.recipe.seed if seed is None else seed
    used = getattr(instance.recipe, "budget", None)
    name = f"train {used or ''} {'on all data' if all_data else ''} {instance.fingerprint}"
    network, fit = trainee.network, trainee.fit
    with instance.threads():
        if fit is None:
            told = (trainee.key, seed, trainee.made_of)
            done = trained_stage(stages, name, network, instance.final_task, training, *told)
        else:
            done = stages.run(name, lambda observer, resume: fit(seed), [trainee.key, seed, trainee.made_of])
    valid = None if all_data else done["valid"] or None
    trainee.keep(done | {"seed": seed})
    facts = {"epochs": len(done["trace"]) if fit is None else None, "seed": seed, "all_data": all_data, "budget": used}
    facts |= {"seconds": done["seconds"]} | ({"settings": asked} if asked else {})
    _retrace(directory, done["trace"])
    epochs_of = None if fit is not None else {"best": done["epoch"], "most": training.epochs}
    changed = {"metrics": {"valid": valid, "test": None}, "retrained": facts, "epochs": epochs_of}
    described = instance.describe()
    changed |= instance.cost(network) | ({"scale": described["scale"]} if "scale" in described else {})
    _rewrite(directory, changed)
    stages.journal.clear()
    directory.clear()
    return facts | {"valid": valid}


def train_on_all(directory: RunDirectory, instance: Instance, observer: Observer) -> None:
    """Train what a run hands over on all data, for as many epochs as validation chose, and put it in place.

    Args:
        directory: Of the run.
        instance: Its recipe on its data, under what tuning chose.
        observer: Is told of each epoch.
    """
    whole = instance.on_everything()
    trainee, seed = whole.trainee(directory), whole.recipe.seed
    with whole.threads():
        if trainee.fit is not None:
            done = trainee.fit(seed)
        else:
            epoch = int(load_tree(directory.file("model.safetensors"))["epoch"])
            training = _blind(replace(whole.training(trainee.tuned), epochs=max(1, epoch)))
            train(trainee.network, whole.final_task, training, seed=seed, observer=observer)
            done = {"weights": dict(trainee.network.cpu().state_dict()), "epoch": epoch}
    trainee.keep(done | {"seed": seed})


def _blind(training: Training) -> Training:
    """Return a schedule that no validation part stops or judges."""
    return replace(training, patience=None, keep_best=False, evaluate_every=0, min_steps=0)


@shielded(draws=True)
def score(run: str | Path, *, device: str = "auto", root: Path | None = None) -> dict[str, Any]:
    """Return the metrics of a run's model on validation and test; fills them in where retraining left them open.

    Args:
        run: The run directory.
        device: `auto`, `cpu` or `cuda`.
        root: Folder of data sets.

    Returns:
        `metric` (that selects), `valid` and `test` metrics (None where there is no such part, and `valid` where a refit
        learnt from it), and what the network
        costs (`parameters`; of cells `multiply_adds`).

    Raises:
        RunError: The model was trained on all data, or is not trained yet, or the data have changed.
    """
    directory = RunDirectory.open(run, needs="result.json")
    result = directory.result()
    instance = as_trained(judged(directory, device, root), result)
    network = instance.load_model(directory)
    metrics = {"valid": instance.evaluate(network, "valid"), "test": instance.evaluate(network, "test")}
    if result["metrics"]["test"] is None:
        _rewrite(directory, {"metrics": metrics})
    return {"metric": result["metric"], **metrics, **instance.cost(network)}


def _rewrite(directory: RunDirectory, changed: dict[str, Any]) -> None:
    """Change the result of a run, and its page with it; the rows stay those of the search, trained alike."""
    result = directory.result() | changed
    trace = [json.loads(line) for line in directory.file("trace.jsonl").read_text().splitlines()]
    directory.write("report.html", report(problem(result["task"]), result, trace))
    directory.write_json("result.json", result)


def _retrace(directory: RunDirectory, trace: list[dict[str, Any]]) -> None:
    """Put a training behind the trace of the search, in place of an earlier one: done twice, it is as done once."""
    lines = directory.file("trace.jsonl").read_text().splitlines()
    of_search = [line for line in lines if not json.loads(line).get("retraining")]
    retraining = [json.dumps(record | {"retraining": True}) for record in trace]
    directory.write("trace.jsonl", "".join(line + "\n" for line in [*of_search, *retraining]))

"""The arms of a suite: the study, whole or without a part, random search of configurations, and each rival alone.

All are judged as validation chose them, on one question: nothing is refit.
"""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sif.benchmark.suite_drawn import RandomConfigurations, TunedNetwork, spend
from sif.compare.tuning import ComparisonConfig, Judge, run_method
from sif.errors import RaceError
from sif.problems import open_recipe
from sif.problems.recipes import StudyPart, StudyRecipe
from sif.problems.suited import RANKED, RATED
from sif.problems.tables import TableInstance
from sif.recipes import changes_of, load_recipe
from sif.recipes.limit import Limit
from sif.recipes.problems import problem
from sif.rivals.known import METHODS, RIVALS
from sif.rivals.method import ScoresOf
from sif.rivals.pair_table import PairTable
from sif.run_directory import RunDirectory
from sif.serve.networks import network_form
from sif.studies import conduct
from sif.studies.classics import CLASSICS
from sif.studies.portfolio import leaving_out

__all__ = [
    "RANDOM_ARM",
    "STUDY",
    "STUDY_PARTS",
    "WITH",
    "WITHOUT",
    "arms_of",
    "changed_part",
    "gini",
    "recipe_of",
    "run_arm",
    "seeded",
]

STUDY, RANDOM_ARM = "study", "random"
"""The study as recipes have it; random search of configurations."""
WITHOUT, WITH = "study without ", "study with "
"""Before the name of a part: the study without it, or with one that recipes leave out."""
STUDY_PARTS: tuple[str, ...] = get_args(StudyPart)
_RATED = "biases", "biased-mf", "svd++"  # the rivals where ratings are predicted


@dataclass(frozen=True)
class _Found:
    """What an arm hands over: its validation metric, the test part's values, who it is, and how many were trained."""

    valid: float
    test: float
    values: Tensor
    handed: str
    trials: int
    seconds: float


def arms_of(task: str, names: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> list[str]:
    """Return the arms of a task, in the order in which they run.

    Args:
        task: On tables of users and items.
        names: `study`, `random` and rivals; those of the other task are left out. None: all.
        without: Parts of the study; an arm for each without it, or with it where the recipe leaves it out.

    Raises:
        RaceError: A name is neither, or a part is none.
    """
    unknown = [f"no arm {name!r}" for name in names if name not in (STUDY, RANDOM_ARM, *RIVALS)]
    unknown += [
        f"the study has no part {name!r}; it has {', '.join(STUDY_PARTS)}"
        for name in without
        if name not in STUDY_PARTS
    ]
    if unknown:
        arms = ", ".join((STUDY, RANDOM_ARM, *_RATED, *CLASSICS))
        raise RaceError("\n  ".join([*unknown, f"arms are {arms}, and other rivals by name"]))
    asked = names or (STUDY, RANDOM_ARM, *_rivals(task))
    taken = [name for name in asked if name in (STUDY, RANDOM_ARM) or _runs(task, name)]
    left_out = _left_out(task)
    return [*taken, *(f"{WITH if part in left_out else WITHOUT}{part}" for part in without)]


def changed_part(arm: str) -> str:
    """Return the part that an arm of the study has more or less than the study itself, or an empty string.

    Args:
        arm: Its name.
    """
    prefix = next((each for each in (WITHOUT, WITH) if arm.startswith(each)), arm)
    return arm.removeprefix(prefix)


def _left_out(task: str) -> list[str]:
    """Return the parts that the study of a task goes without."""
    return list(load_recipe(recipe_of(task), []).study.without)


def recipe_of(task: str) -> str:
    """Return the recipe of a task: the one that suits a table of one's own.

    Args:
        task: On tables of users and items.
    """
    return RANKED if problem(task).ranks else RATED


def _rivals(task: str) -> tuple[str, ...]:
    return CLASSICS if problem(task).ranks else _RATED


def _runs(task: str, rival: str) -> bool:
    found = RIVALS[rival]
    if not problem(task).ranks:
        return found.baseline("wide") is not None
    return found.method is not None or found.baseline("lists") is not None


def seeded(arm: str) -> bool:
    """Return whether the seed changes what an arm comes to."""
    return arm not in METHODS or not METHODS[arm].deterministic


def run_arm(job: dict[str, Any]) -> dict[str, Any]:
    """Let one arm spend its budget on one table, in this process; return what it handed over.

    Args:
        job: `task`, `arm`, `budget`, `seed`; what the recipe is changed by: `changes` by dotted key, `set` typed; and
            `kin`: tables without which the portfolio is to be made that a study begins with.

    Returns:
        `metric`, `maximise`, `valid` and `test` (of what was chosen on validation), `values` float64 `[n]` (of each
        user with test pairs the metric, of each rating of the test part the squared error), `handed`, `trials`,
        `seconds`, and `size` of the table.

    Raises:
        RaceError: The arm does not run on this table; with the reason.
    """
    instance, limit = _opened(job)
    ranks, arm = instance.problem.ranks, job["arm"]
    metric = instance.final_task.metric if ranks else "rmse"  # in the ratings' own unit
    with tempfile.TemporaryDirectory(prefix="sif-suite-") as folder, instance.threads():
        if arm == STUDY or changed_part(arm):
            with leaving_out(job["kin"]):
                found = _study(instance, metric, Path(folder))
        elif ranks and arm in METHODS:
            found = _method(instance, metric, arm, limit)
        else:
            found = _networks(instance, metric, arm, limit)
    split = instance.data.split
    parts = {part: len(getattr(split, part)) for part in ("train", "valid", "test")}
    pairs = instance.data.interactions
    counts = np.bincount(pairs.item[split.train], minlength=pairs.n_items)
    size = {"users": pairs.n_users, "items": pairs.n_items, **parts, "gini": gini(counts)}
    return {"metric": metric, "maximise": instance.final_task.maximise, "size": size, **vars(found)}


def gini(counts: NDArray[np.int64]) -> float:
    """Return the Gini index of counts: 0 where all are the same, near 1 where one has all.

    Args:
        counts: Of each item, `[items]`.
    """
    number, total = len(counts), float(counts.sum())
    weighed = float((np.arange(1, number + 1) * np.sort(counts)).sum())
    return 2 * weighed / (number * total) - (number + 1) / number if total else 0.0


def _opened(job: dict[str, Any]) -> tuple[TableInstance, Limit]:
    without = sorted({*_left_out(job["task"])} ^ {changed_part(job["arm"])} - {""})
    own = {"budget": job["budget"], "without": without, "goal": job["task"], "refit": False}
    study = {f"study.{key}": value for key, value in own.items() if key in StudyRecipe.model_fields}
    changes = {**job["changes"], **study, "seed": job["seed"], "split.seed": 0}
    instance = open_recipe(load_recipe(recipe_of(job["task"]), [*changes_of(changes), *job["set"]]), device="cpu")
    assert isinstance(instance, TableInstance)
    return instance, Limit.parse(job["budget"], len(instance.data.interactions))


# what the arms are


def _study(instance: TableInstance, metric: str, folder: Path) -> _Found:
    began = time.perf_counter()
    directory = RunDirectory.create(folder / "run", instance.name)
    conduct(instance, directory)
    seconds, result = time.perf_counter() - began, directory.result()
    told, handed = result["study"], result.get("handed")
    network = None if instance.problem.ranks else instance.load_model(directory)
    test, values = _judged(instance, metric, instance.served(directory) if network is None else network)
    return _Found(
        valid=result["metrics"]["valid"][metric],
        test=test,
        values=values,
        handed=handed["formula"] if handed else result["formula"],
        trials=told["trials"] + told["rival_trials"],
        seconds=seconds,
    )


def _method(instance: TableInstance, metric: str, arm: str, limit: Limit) -> _Found:
    """Tune a rival over its grid, until the budget or the grid is spent."""
    table, method = PairTable.of(instance.ranking_task()), METHODS[arm]
    if method.package and find_spec(method.package) is None:
        raise RaceError(f"{method.package} is not installed: {method.install}")
    if reason := method.refuse(table):
        raise RaceError(reason)
    method = replace(method, grid=method.grid[: limit.trials])
    name, k = metric.split("@")
    config = ComparisonConfig(name, int(k), limit.seconds or math.inf, (instance.recipe.seed,))
    state = run_method(method, table, config)
    return _Found(
        valid=state["valid"][metric],
        test=state["test"][0][metric],
        values=state["values"][0],
        handed=f"{arm} {dict(state['settings'])}",
        trials=len(state["trials"]),
        seconds=state["tuning_seconds"],
    )


def _networks(instance: TableInstance, metric: str, arm: str, limit: Limit) -> _Found:
    """Train networks that are drawn: configurations, or a rival under settings."""
    best = spend(limit, RandomConfigurations(instance) if arm == RANDOM_ARM else TunedNetwork(instance, arm))
    model: Any = best.network
    if instance.problem.ranks:
        model = network_form(model, instance.data.task.sizes, instance.data.task.objective, lists=True)
    test, values = _judged(instance, metric, model)
    return _Found(best.valid[metric], test, values, best.told, best.trials, best.seconds)


# the test part


def _judged(instance: TableInstance, metric: str, model: Any) -> tuple[float, Tensor]:
    """Read the test part once: a metric, and what each user or rating adds to it."""
    if instance.problem.ranks:
        return _ranked(instance, metric, model)
    task: Any = instance.final_task
    inputs, target = task.part("test")
    model.eval()
    with torch.no_grad():
        error = torch.cat([model(chunk) for chunk in torch.split(inputs, 1 << 16, dim=1)]).double() - target.double()
    values = (error * task.scale.std).square()
    return math.sqrt(float(values.mean())), values


def _ranked(instance: TableInstance, metric: str, scores_of: ScoresOf) -> tuple[float, Tensor]:
    name, k = metric.split("@")
    judge = Judge(PairTable.of(instance.ranking_task()), ComparisonConfig(name, int(k)))
    metrics, _, values = judge.test(scores_of)
    return metrics[metric], torch.from_numpy(values)

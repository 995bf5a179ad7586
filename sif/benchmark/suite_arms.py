"""The arms of a suite: the study, whole or without a part, random search of configurations, and each rival alone."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from nasp_core.evaluation import better
from nasp_core.loop import Observer, Passing
from nasp_core.network import Network
from nasp_core.search import train_genotype
from sif.compare.tuning import ComparisonConfig, Judge, run_method
from sif.errors import RaceError
from sif.problems import open_recipe
from sif.problems.recipes import StudyPart
from sif.problems.tables import TableInstance, baseline_of
from sif.recipes import changes_of, load_recipe
from sif.recipes.limit import Limit
from sif.rivals.known import METHODS, RIVALS
from sif.rivals.method import ScoresOf
from sif.rivals.pair_table import PairTable
from sif.run_directory import RunDirectory
from sif.serve.networks import network_form
from sif.studies import conduct
from sif.studies.classics import CLASSICS
from sif.studies.configuration import Configuration
from sif.studies.proposals import Neighbours
from sif.studies.trials import OutOfTime, at_fidelity

__all__ = ["METRIC", "PARTS", "RANDOM_ARM", "RECIPES", "STUDY", "WITHOUT", "arms_of", "run_arm", "seeded"]

STUDY, RANDOM_ARM, WITHOUT = "study", "random", "study without "
"""The whole study; random search of configurations; before the name of a part: the study without it."""
PARTS: tuple[str, ...] = get_args(StudyPart)
METRIC = {"rating": "rmse"}
"""What a task is judged by, where that is not what its validation selects by: RMSE in the ratings' own unit."""
RECIPES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "rating": ("movielens-wide", {"train.min_steps": 1200}),  # a small table takes more epochs
    "ranking": ("clicks", {}),
}
"""The recipe of each task, and what is changed in it."""
_RIVALS = {"rating": ("biases", "biased-mf", "svd++"), "ranking": CLASSICS}
_SHORT, _MORE = 1 / 9, 5  # of a schedule, where not one training came to its end; and how often that is tried


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
        task: `rating` or `ranking`.
        names: `study`, `random` and rivals; those of the other task are left out. None: all.
        without: Parts of the study; an arm for each.

    Raises:
        RaceError: A name is neither, or a part is none.
    """
    unknown = [f"no arm {name!r}" for name in names if name not in (STUDY, RANDOM_ARM, *RIVALS)]
    unknown += [f"the study has no part {name!r}; it has {', '.join(PARTS)}" for name in without if name not in PARTS]
    if unknown:
        arms = ", ".join(dict.fromkeys([STUDY, RANDOM_ARM, *(name for each in _RIVALS.values() for name in each)]))
        raise RaceError("\n  ".join([*unknown, f"arms are {arms}, and other rivals by name"]))
    asked = names or (STUDY, RANDOM_ARM, *_RIVALS[task])
    taken = [name for name in asked if name in (STUDY, RANDOM_ARM) or _runs(task, name)]
    return [*taken, *(f"{WITHOUT}{part}" for part in without)]


def _runs(task: str, rival: str) -> bool:
    found = RIVALS[rival]
    if task == "rating":
        return found.baseline("wide") is not None
    return found.method is not None or found.baseline("lists") is not None


def seeded(arm: str) -> bool:
    """Return whether the seed changes what an arm comes to."""
    return arm not in METHODS or not METHODS[arm].deterministic


def run_arm(job: dict[str, Any]) -> dict[str, Any]:
    """Let one arm spend its budget on one table, in this process; return what it handed over.

    Args:
        job: `task`, `arm`, `budget`, `seed`, and what the recipe is changed by: `changes` by dotted key, `set` typed.

    Returns:
        `metric`, `maximise`, `valid` and `test` (of what was chosen on validation), `values` float64 `[n]` (of each
        user with test pairs the metric, of each rating of the test part the squared error), `handed`, `trials`,
        `seconds`, and `size` of the table.

    Raises:
        RaceError: The arm does not run on this table; with the reason.
    """
    instance, limit = _opened(job)
    metric = METRIC.get(job["task"], instance.final_task.metric)
    arm = job["arm"]
    with tempfile.TemporaryDirectory(prefix="sif-suite-") as folder, instance.threads():
        if arm == STUDY or arm.startswith(WITHOUT):
            found = _study(instance, metric, Path(folder))
        elif job["task"] == "ranking" and arm in METHODS:
            found = _method(instance, metric, arm, limit)
        else:
            found = _tuned(instance, metric, limit, _Random(instance) if arm == RANDOM_ARM else _Network(instance, arm))
    split = instance.data.split
    parts = {part: len(getattr(split, part)) for part in ("train", "valid", "test")}
    size = {"users": instance.data.interactions.n_users, "items": instance.data.interactions.n_items, **parts}
    told = {name: getattr(found, name) for name in _Found.__dataclass_fields__}
    return {"metric": metric, "maximise": instance.final_task.maximise, "size": size, **told}


def _opened(job: dict[str, Any]) -> tuple[TableInstance, Limit]:
    arm, without = job["arm"], []
    if arm.startswith(WITHOUT):
        without = [arm.removeprefix(WITHOUT)]
    own = {"seed": job["seed"], "split.seed": 0, "study.budget": job["budget"]}
    recipe, base = RECIPES[job["task"]]
    changes = {**base, **job["changes"], **own, **({"study.without": without} if without else {})}
    instance = open_recipe(load_recipe(recipe, [*changes_of(changes), *job["set"]]), device="cpu")
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


@dataclass(frozen=True)
class _Drawn:
    """A network to train, on the table under its settings."""

    instance: TableInstance
    network: Network
    key: str
    told: str


class _Random:
    """Configurations drawn at random from the study's own space."""

    def __init__(self, instance: TableInstance) -> None:
        self.instance = instance
        self._space = Neighbours(instance, instance.problem.settings_space)

    def draw(self, number: int) -> Configuration:
        """Return a configuration; with no trials to be near to, it is one of all."""
        return self._space.ask(number, (), self.instance.final_task.maximise, set())

    def __call__(self, number: int) -> _Drawn:
        configuration = self.draw(number)
        changed = self.instance.changed(configuration.settings)
        genotype = changed.genotype(configuration.choices)
        told = f"{changed.formula(genotype)} {dict(configuration.settings)}"
        return _Drawn(changed, changed.build(genotype), genotype.key(), told)


class _Network:
    """A rival that the run's own loop trains, under the recipe's settings, then under drawn ones."""

    def __init__(self, instance: TableInstance, name: str) -> None:
        self.instance, self.name, self._draws = instance, name, _Random(instance)
        baseline_of(instance.recipe, name)

    def __call__(self, number: int) -> _Drawn:
        settings = self._draws.draw(number).settings if number else {}
        changed = self.instance.changed(settings)
        network = changed.rival(baseline_of(changed.recipe, self.name)).build({})
        return _Drawn(changed, network, f"baseline/{self.name}", f"{self.name} {dict(settings)}")


class _Best:
    """Trains what is drawn, and keeps the best on validation."""

    def __init__(self, instance: TableInstance, drawn: Callable[[int], _Drawn]) -> None:
        self.task, self.seed, self._drawn = instance.final_task, instance.recipe.seed, drawn
        self.best: _Drawn | None = None
        self.valid: dict[str, float] = {}
        self.trials = 0

    def train(self, number: int, fidelity: float, until: float | None) -> None:
        """Train a draw on a share of its schedule; what meets the end of the time comes to nothing."""
        one = self._drawn(number)
        schedule = at_fidelity(one.instance.training({}), fidelity)
        task = one.instance.final_task
        try:
            made = train_genotype(
                one.network, task, schedule, key=one.key, seed=self.seed, observer=_Until(Observer(), until)
            )
        except OutOfTime:
            return
        self.trials += 1
        value = made.metrics[task.metric]
        if math.isfinite(value) and (self.best is None or better(task, value, self.valid[task.metric])):
            self.best, self.valid = replace(one, network=made.network), made.metrics


class _Until(Passing):
    """Ends a training when the time is up."""

    def __init__(self, outer: Observer, deadline: float | None) -> None:
        super().__init__(outer)
        self._deadline = deadline

    def stepped(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise OutOfTime


def _tuned(instance: TableInstance, metric: str, limit: Limit, drawn: Callable[[int], _Drawn]) -> _Found:
    """Train what is drawn in full, one after another; hand over the best on validation.

    Where not one training came to its end within the budget, one follows on a ninth of its schedule, whatever it takes:
    the study's first one is such a training too.
    """
    began, search = time.monotonic(), _Best(instance, drawn)
    deadline = math.inf if limit.seconds is None else began + limit.seconds
    for number in range(limit.trials) if limit.trials else count():
        if time.monotonic() >= deadline:
            break
        search.train(number, 1.0, deadline)
    for number in range(_MORE):
        if search.best is None:
            search.train(number, _SHORT, None)
    if search.best is None:
        raise RaceError(f"{_MORE} trainings on a ninth of the schedule diverged")
    seconds, network, task = time.monotonic() - began, search.best.network, instance.data.task
    model: Any = network
    if instance.problem.ranks:
        model = network_form(network, task.sizes, task.objective, lists=True)
    test, values = _judged(instance, metric, model)
    return _Found(search.valid[metric], test, values, search.best.told, search.trials, seconds)


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

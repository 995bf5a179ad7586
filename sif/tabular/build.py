"""Train every point of the wide space with several seeds, and write what came of it as one table."""

import math
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

import sif
from nasp_core.errors import SearchError
from nasp_core.evaluation import evaluate
from nasp_core.loop import Observer
from nasp_core.training import train
from nasp_core.types import Active
from sif.datasets import Interactions, split
from sif.errors import DataError
from sif.host import shielded
from sif.journal import Journal
from sif.spaces.build import parameters_of
from sif.spaces.wide import WideSpace
from sif.tabular.assemble import write_table
from sif.tabular.keys import Key, table_key_of
from sif.tabular.plans import PLANS, TASKS, TablePlan, TaskName
from sif.tasks import TableTask

__all__ = ["build_table", "journal_path", "task_and_space"]

_SPLIT_SEED = 0
_LAST = ("minus", "mlp")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Give torch one thread: on small batches more only wait for each other, and seconds would say little."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Problem(NamedTuple):
    """What the trainings of one task share."""

    plan: TablePlan
    task: TableTask
    space: WideSpace
    points: list[Active]


def journal_path(out: Path) -> Path:
    """Return the folder, beside the table `out`, in which its trainings are kept."""
    return out.with_name(out.name + ".trainings")


@shielded(draws=True)
def build_table(
    data: Interactions,
    out: Path,
    *,
    seeds: int = 3,
    tasks: Sequence[TaskName] = TASKS,
    points: int | None = None,
    plans: Mapping[TaskName, TablePlan] = PLANS,
    progress: Observer | None = None,
) -> Path:
    """Train each point with `seeds` seeds on each task and write the table `out` (Parquet); return `out`.

    Every training is kept beside `out` (`journal_path`) as soon as it has ended: a build that was stopped goes on where
    it was when it is called again with the same arguments, and comes to the same table but for `seconds`. The split is
    that of seed 0 for all; a training's seed varies the first weights and the order of batches. Everything runs on one
    thread of the CPU. The test part is read once a training, after it has ended, and decides nothing.

    Args:
        data: The ratings.
        out: The file of the table.
        seeds: Trainings of each point on each task.
        tasks: Names of the tasks.
        points: How many points, drawn at random; None: all.
        plans: Space and schedule by task.
        progress: Is shown the trainings, those that were done before too.

    Raises:
        DataError: A task cannot use the data, or the journal is of another table.
    """
    if seeds < 1 or (points is not None and points < 1):
        raise DataError(f"seeds = {seeds}, points = {points}\n  A table needs 1 or more of each.")
    if not tasks:
        raise DataError(f"a table of no task\n  Give {' or '.join(TASKS)}, or both.")
    problems = {name: _problem_of(data, plans[name], points) for name in tasks}
    header, progress = _header(data, problems, seeds), progress or Observer()
    fix = "give another --out, or remove the folder to begin again"
    journal = Journal(journal_path(out), "table", fix, DataError)
    with journal.opened(header, "building a table"), _one_thread():
        records = dict[tuple[Any, ...], dict[str, Any]]()
        wanted = list(_order(problems, seeds))
        progress.stage("table")
        progress.started("trainings", len(wanted), 0)
        for name, seed, active in wanted:
            problem = problems[name]
            key = table_key_of(problem.space, active)
            twin = records.get((name, seed, *_twin(key)))
            made = twin or journal.once(f"{name} {seed} {' '.join(key)}", partial(_trained, problem, active, seed))
            records[name, seed, *key] = made | {"task": name, "seed": seed, "point": list(key)}
            progress.stepped()
            progress.logged({})
        write_table(records.values(), header, out)
    return out


def task_and_space(data: Interactions, plan: TablePlan) -> tuple[TableTask, WideSpace]:
    """Return the task and the space in which a table's points are trained: what a one-shot strategy searches.

    What a search there finds is looked up in the table.

    Args:
        data: The ratings.
        plan: Space and schedule.

    Raises:
        DataError: The task cannot use the data.
    """
    data = data.without_context()
    task = plan.task(data, split(data, "random", plan.fractions, _SPLIT_SEED))
    space = WideSpace.make(task.sizes, plan.settings, task.histories(), task.counts())
    return task, space.to(task.device)


def _problem_of(data: Interactions, plan: TablePlan, points: int | None) -> _Problem:
    task, space = task_and_space(data, plan)
    offered = list(space.points())
    if points is not None and points < len(offered):
        drawn = torch.randperm(len(offered), generator=torch.Generator().manual_seed(0))[:points]
        offered = [offered[index] for index in sorted(drawn.tolist())]
    return _Problem(plan, task, space, offered)


def _order(problems: Mapping[TaskName, _Problem], seeds: int) -> Iterator[tuple[TaskName, int, Active]]:
    """Yield all trainings: what can be missed comes last, and before that whole seeds, so that a part is of use early.

    Last but one is `minus`, which is `plus` with the sign in the weights, and last what costs most, `mlp`.
    """
    for late in range(len(_LAST) + 1):
        for seed in range(seeds):
            for name, problem in problems.items():
                for active in problem.points:
                    key = table_key_of(problem.space, active)
                    if max((place for place, each in enumerate(_LAST, 1) if each in key), default=0) == late:
                        yield name, seed, active


def _twin(key: Key) -> Key:
    """Return the point whose training is the same to the bit, if there is one: the sum of a `concat` is a `plus`."""
    return tuple("plus" if name == "concat" and "sum" in key else name for name in key)


def _trained(problem: _Problem, active: Active, seed: int) -> dict[str, Any]:
    """Train one point and judge it; a training that diverged has no metrics and `failed`."""
    network = problem.space.build(problem.space.genotype(active))
    record: dict[str, Any] = {"parameters": parameters_of(network)}
    began = time.process_time()
    try:
        trained = train(network, problem.task, problem.plan.training, seed=seed)
    except SearchError:
        return record | _failed(time.process_time() - began)
    seconds = time.process_time() - began
    if not math.isfinite(trained.metrics[problem.plan.metric]):
        return record | _failed(seconds)
    curve = [line["valid"][problem.plan.metric] for line in trained.trace if line.get("valid")]
    test = evaluate(trained.network, problem.task, split="test")
    return record | {
        "failed": False,
        "seconds": seconds,
        "epoch": trained.epoch,
        "curve": [value if math.isfinite(value) else None for value in curve],
        "valid": trained.metrics,
        "test": test,
    }


def _failed(seconds: float) -> dict[str, Any]:
    return {"failed": True, "seconds": seconds, "epoch": 0, "curve": [], "valid": {}, "test": {}}


def _header(data: Interactions, problems: Mapping[TaskName, _Problem], seeds: int) -> dict[str, Any]:
    """Return what the records are of: data, plans, splits and versions, as plain data."""
    return {
        "data": data.name,
        "fingerprint": data.fingerprint(),
        "sizes": [data.n_users, data.n_items],
        "seeds": seeds,
        "points": {name: len(problem.points) for name, problem in problems.items()},
        "plans": {name: problem.plan.describe() for name, problem in problems.items()},
        "splits": {
            name: split(data, "random", problem.plan.fractions, _SPLIT_SEED).fingerprint
            for name, problem in problems.items()
        },
        "versions": {"sif": sif.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }

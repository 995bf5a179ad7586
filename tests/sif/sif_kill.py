"""Kills work of sif at every point at which it writes a file, and lets it go on.

Each line of standard input is a job as JSON: `work` (a name of `WORK`), `folder`, and what that work takes. It is done
once whole, then in processes that are killed: the first as its first file takes its place, the next at the next file,
and so on, until one comes to its end; some are killed just before a file takes its place. With `moments` so many are
killed at random moments instead. The answer is a line of JSON.
Processes are forks of this one: the libraries load once.
"""

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import torch
import torch._dynamo

import sif.cells.problems
import sif.problems.tables  # noqa: F401 (in the forks it is there)
from nasp_core.types import State
from sif.benchmark import Budget, SuiteOptions, entrants_of, race, recipe_benchmark, run_suite
from sif.benchmark.suite_arms import run_arm
from sif.cli.app import app
from sif.compare import METHODS, ComparisonConfig, PairTable, compare_run, run_method
from sif.compare import run as comparing
from sif.compare.source import best_of
from sif.datasets import read
from sif.lock import LOCK
from sif.problems import open_recipe
from sif.recipes import load_recipe
from sif.run_directory import RANKING_FOLDER, RunDirectory
from sif.runs.after import retrain
from sif.runs.stages import _Checkpointer
from sif.studies import conduct
from sif.tabular import PLANS, build_table

Job = dict[str, Any]
KEPT = (".toml", ".json", ".jsonl", ".safetensors", ".npz")
NOT_COMPARED = ("recipe.toml", "result.json", "compare.json", "trials.jsonl")  # they hold a path, seconds and memory
OF_THE_CLOCK = {"seconds", "tuning_seconds", "fit_seconds", "search s", "training s", "peak_memory_mb"}
PARTIAL = ".partial.safetensors"
MOST = 300


def search(path: Path, job: Job) -> None:
    """Begin a run, or go on with it by the command line."""
    if (path / "recipe.toml").is_file():
        app(["search", "--resume", str(path), "--device", "cpu", "--json"], standalone_mode=False)
        return
    given = load_recipe(job["recipe"], [f"dataset={json.dumps(job['data'])}", *job["changes"]])
    conduct(open_recipe(given, device="cpu"), RunDirectory.create(path, "run"))


def train(path: Path, job: Job) -> None:
    retrain(path, epochs=2, seed=3, device="cpu")


def compare(path: Path, job: Job) -> None:
    """Compare in this process: those of its methods are not what is killed."""

    def here(job: Job, config: ComparisonConfig, table: Path, observer: Any) -> State:
        method = METHODS[job["rival"]] if "rival" in job else best_of(job["run"])
        return run_method(method, PairTable.load(table), config, observer) | {"peak_memory_mb": 1.0}

    comparing.isolated = here
    compare_run(path, ["popularity", "ease"], budget=0.0, seeds=2)


def run_race(path: Path, job: Job) -> None:
    budget = Budget.parse("2evaluations")
    problem = recipe_benchmark(job["recipe"], budget, data=job["data"], changes=job["changes"], device="cpu")
    race(problem, entrants_of(["nasp", "random"], {}), seeds=2, budget=budget, out=path)


def suite(path: Path, job: Job) -> None:
    """Run a suite's arms in this process: what they leave is kept whole or not at all."""
    options = SuiteOptions(("2trials",), 2, arms=("random", "biases"), changes=tuple(job["changes"]))
    run_suite(Path(job["data"]).parent, path, options, runner=lambda job: run_arm(job) | {"peak_memory_mb": 1.0})


def table(path: Path, job: Job) -> None:
    path.mkdir(exist_ok=True)
    plan = PLANS["rating"]
    plan = replace(
        plan,
        settings=replace(plan.settings, operations=("multiply", "max"), predictors=("linear",), embedding_dim=2),
        training=replace(plan.training, epochs=2, batch_size=64),
    )
    build_table(read(job["data"]), path / "t.parquet", seeds=2, tasks=("rating",), points=3, plans={"rating": plan})


WORK: dict[str, Callable[[Path, Job], None]] = {
    "search": search,
    "train": train,
    "compare": compare,
    "race": run_race,
    "suite": suite,
    "table": table,
}
"""Each begins its work in a folder, or goes on with it."""


def left(folder: Path) -> dict[str, Any]:
    """What should not depend on kills: files byte by byte, results without seconds and memory, the names of all."""
    files = {}
    if (folder / "recipe.toml").is_file():
        kept = [path for path in folder.iterdir() if path.suffix in KEPT and path.name not in NOT_COMPARED]
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(kept)}
    results = {path.name: _timeless(json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))}
    if (folder / "trials.jsonl").is_file():
        lines = (folder / "trials.jsonl").read_text().splitlines()
        results["trials.jsonl"] = _timeless([json.loads(line) for line in lines])
    if (folder / "t.parquet").is_file():
        results["t.parquet"] = pl.read_parquet(folder / "t.parquet").drop("seconds").to_dicts()
    if (folder / RANKING_FOLDER).is_dir():
        results["ranking"] = left(folder / RANKING_FOLDER)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != LOCK)
    return {"results": results, "files": files, "names": names}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if key not in OF_THE_CLOCK}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        torch.set_num_threads(1)
        _Checkpointer.checkpoint_due = lambda self: True  # type: ignore[method-assign]
        with contextlib.redirect_stdout(io.StringIO()):
            work()
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        raise
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(child: int) -> bool:
    """Wait for a process; return whether it came to its end rather than to a kill."""
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return False
    if status:
        raise SystemExit("a process failed")
    return True


def dying(passed: set[str], before: bool, told: int) -> None:
    """Let this process be killed as the first file that is new takes its place, or just before; tell its name.

    A saved state is new each time, another file the first time that it is written.
    """
    take_place = os.replace

    def killed(source: Any, target: Any) -> None:
        name = Path(target).name
        new = name not in passed or name.endswith(PARTIAL)
        if not (new and before):
            take_place(source, target)
        if new:
            os.write(told, name.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = killed


def killed_everywhere(work: Callable[[], None]) -> list[str]:
    """Do a work in processes that are killed, each one file further; return the files in whose writing they died."""
    names, passed = list[str](), set[str]()
    for number in range(MOST):
        before = number % 4 == 0
        read_end, write_end = os.pipe()
        child = fork(lambda before=before, told=write_end: (dying(passed, before, told), work()))  # type: ignore[misc]
        os.close(write_end)
        end = ended(child)
        with os.fdopen(read_end) as pipe:
            name = pipe.read()
        if end:
            return names
        names.append(name)
        if not before:
            passed.add(name)
    raise SystemExit(f"no end after {MOST} kills; the last: {names[-5:]}")


def killed_at_moments(work: Callable[[], None], seconds: float, moments: int) -> list[str]:
    """Do a work in processes that are killed at random moments, and a last one that is not; return how many died."""
    chance, died = random.Random(0), 0
    for _ in range(moments):
        child = fork(work)
        time.sleep(seconds * chance.uniform(0.01, 0.15))  # of a first run, which takes longer than later ones
        os.kill(child, signal.SIGKILL)
        died += not ended(child)
    while not ended(fork(work)):
        pass
    return ["killed"] * died


def answer(job: Job) -> dict[str, Any]:
    """Do a job; return what the whole work and the killed one left, and where the kills were."""
    folder, work = Path(job["folder"]), WORK[job["work"]]
    whole, killed = folder / "whole", folder / "killed"
    if job["work"] in ("train", "compare"):  # which begin with a finished run
        ended(fork(lambda: search(whole, job)))
        shutil.copytree(whole, killed)
    began = time.monotonic()
    ended(fork(lambda: work(whole, job)))
    seconds = time.monotonic() - began
    if job.get("moments"):
        names = killed_at_moments(lambda: work(killed, job), seconds, job["moments"])
    else:
        names = killed_everywhere(lambda: work(killed, job))
    for path in (whole, killed):
        ended(fork(lambda path=path: Path(f"{path}.left").write_text(json.dumps(left(path)))))  # type: ignore[misc]
    first, second = (json.loads(Path(f"{path}.left").read_text()) for path in (whole, killed))
    return {"whole": first, "killed": second, "at": names}


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()

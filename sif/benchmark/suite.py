"""The suite: every arm on every table with every seed, each in a process of its own and kept when it is done."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nasp_core.loop import Observer
from nasp_core.types import State
from sif.benchmark.suite_arms import RANDOM_ARM, STUDY, arms_of, recipe_of, seeded
from sif.benchmark.suite_map import suite_map
from sif.benchmark.suite_report import suite_page
from sif.benchmark.suite_results import SUITE_SCHEMA_VERSION, SuiteResults, SuiteRun, versus
from sif.checkpoint import write_atomically
from sif.compare.isolate import NotRun, in_a_process
from sif.errors import RaceError
from sif.host import shielded
from sif.journal import Journal
from sif.recipes import load_recipe
from sif.recipes.limit import Limit
from sif.recipes.problems import ON_TABLES
from sif.results import hardware, versions
from sif.studies.suite_file import FILE, Suite, SuiteTable, read_suite

__all__ = ["SuiteOptions", "SuiteRunner", "isolated_arm", "run_suite"]

SuiteRunner = Callable[[dict[str, Any]], State]
"""From a job (`sif.benchmark.suite_arms.run_arm`) to its outcome; raises `NotRun` with the reason."""


@dataclass(frozen=True)
class SuiteOptions:
    """What is run.

    Attributes:
        budgets: As a recipe writes them; all arms have the first, the study alone the others.
        seeds: How many: from 0.
        tables: Of the suite, by name; none: all that the folder holds.
        arms: `study`, `random` and rivals; none: all.
        without: Parts of the study: an arm without each.
        changes: Values of every arm's recipe, `key=value` each.
        jobs: How many arms run at once.
    """

    budgets: tuple[str, ...] = ("60s",)
    seeds: int = 3
    tables: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    jobs: int = 1

    def check(self) -> None:
        """Raise `RaceError` or `RecipeError` for what cannot be run."""
        for name, value in (("seeds", self.seeds), ("jobs", self.jobs)):
            if value < 1:
                raise RaceError(f"--{name} {value}; give 1 or more")
        for budget in self.budgets:
            Limit.parse(budget, rows=1)
        for task in ON_TABLES:
            arms_of(task, self.arms, self.without)


@dataclass(frozen=True)
class _Job:
    table: SuiteTable
    task: str
    arm: str
    budget: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.table.name} {self.task} {self.arm} {self.budget} seed {self.seed}"


def isolated_arm(job: dict[str, Any]) -> State:
    """Run an arm in a process of its own, on one thread.

    Args:
        job: As `sif.benchmark.suite_arms.run_arm` takes it.

    Raises:
        NotRun: It refuses, fails, or is killed.
    """
    return in_a_process("sif.benchmark.suite_worker:arm_worker", job)


@shielded(draws=True)
def run_suite(
    folder: Path,
    out: Path,
    options: SuiteOptions,
    *,
    command: str = "",
    progress: Observer | None = None,
    runner: SuiteRunner = isolated_arm,
) -> dict[str, Any]:
    """Run the suite on the tables of a folder; write `results.json`, its page and pictures, and return the former.

    A finished run is kept in `out` at once, and read back when it is asked for again: after a kill, with more seeds,
    arms, budgets or tables. The results are those of all finished runs in `out` on these tables.

    Args:
        folder: With the files of the tables, and a `suite.toml` where it is not the development suite.
        out: The folder of the runs.
        options: What is run.
        command: As typed; the results note it.
        progress: Shows how many runs are done.
        runner: Runs one arm on one table.

    Raises:
        RaceError: `out` holds something else, or an option is wrong.
        DataError: Tables are missing or unreadable.
    """
    options.check()
    suite = read_suite(folder / FILE if (folder / FILE).is_file() else None)
    tables, lacking = suite.held(folder, options.tables)
    if not tables or (options.tables and lacking):
        raise RaceError("\n  ".join([f"{folder} does not hold what is asked for", *lacking]))
    for task in dict.fromkeys(task for table in tables for task in table.tasks):
        load_recipe(recipe_of(task), options.changes)
    journal = Journal(out, "suite", "give another --out", RaceError)
    with journal.opened({"suite": SUITE_SCHEMA_VERSION, "versions": versions()}, "racing"):
        laid = {table.name: table.lay(folder, out / "tables" / table.name) for table in tables}
        said = {name: {"changes": changes, "kin": _kin(suite, name)} for name, changes in laid.items()}
        _run_all(_jobs(tables, options), options, said, journal, runner, progress or Observer())
        results = _results(journal, suite, options, command).model_dump(mode="json")
        write_atomically(out / "results.json", json.dumps(results, indent=1) + "\n")
        for task in dict.fromkeys(run["task"] for run in results["runs"]):
            write_atomically(out / f"suite-{task}.svg", suite_map(results, task))
        write_atomically(out / "suite.md", suite_page(results))
    return results


def _jobs(tables: Sequence[SuiteTable], options: SuiteOptions) -> list[_Job]:
    """Return what there is to run, in order: a first seed of all, so that there is soon a whole table."""
    jobs = []
    for budget in options.budgets:
        for seed in range(options.seeds):
            for table in tables:
                for task in table.tasks:
                    every = arms_of(task, options.arms, options.without)
                    arms = every if budget == options.budgets[0] else [STUDY]
                    jobs += [_Job(table, task, arm, budget, seed) for arm in arms if not seed or seeded(arm)]
    return jobs


def _run_all(
    jobs: list[_Job],
    options: SuiteOptions,
    said: Mapping[str, dict[str, Any]],
    journal: Journal,
    runner: SuiteRunner,
    progress: Observer,
) -> None:
    progress.stage("suite")
    progress.started("runs", len(jobs), 0)

    def run(job: _Job) -> None:
        told: dict[str, Any] = {"task": job.task, "arm": job.arm, "budget": job.budget, "seed": job.seed}
        terms = _terms(job.table, options)

        def make() -> State:
            noted = told | {"table": job.table.name, "terms": terms}
            try:
                return noted | runner(told | said[job.table.name] | {"set": list(options.changes)})
            except NotRun as error:
                if error.stopped:
                    raise KeyboardInterrupt from error
                return noted | {"reason": str(error)}

        journal.once(job.name, make, terms)

    pool = ThreadPoolExecutor(options.jobs)
    try:
        for done in as_completed([pool.submit(run, job) for job in jobs]):
            done.result()
            progress.stepped()
            progress.logged({})
    finally:
        pool.shutdown(cancel_futures=True)


def _kin(suite: Suite, name: str) -> list[str]:
    """Return the tables of a suite that have a file in common with one of them, itself included."""
    files = {table.name: {*table.files.values()} for table in suite.tables}
    return [other for other in files if files[other] & files[name]]


def _terms(table: SuiteTable, options: SuiteOptions) -> str:
    """Return a text that changes with the table, its cut, and what is changed of the recipes."""
    told = json.dumps([table.model_dump(mode="json"), options.changes], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _sizes(outcomes: Sequence[State]) -> dict[str, dict[str, int | float]]:
    """Return what is known of each question's table, all that any run said."""
    sizes: dict[str, dict[str, int | float]] = {}
    for each in outcomes:
        sizes.setdefault(f"{each['table']} {each['task']}", {}).update(each.get("size", {}))
    return {question: known for question, known in sizes.items() if known}


def _results(journal: Journal, suite: Suite, options: SuiteOptions, command: str) -> SuiteResults:
    """Return the runs of the folder that were made on these terms, in the suite's order, and their tests."""
    order = {table.name: place for place, table in enumerate(suite.tables)}
    terms = {table.name: _terms(table, options) for table in suite.tables}
    kept = [each for each in journal.outcomes() if terms.get(each.get("table")) == each.get("terms")]
    arms = {arm: place for place, arm in enumerate(dict.fromkeys(each["arm"] for each in kept))}
    first = STUDY, RANDOM_ARM
    kept.sort(
        key=lambda each: (
            order[each["table"]],
            each["task"],
            each["budget"] != options.budgets[0],
            first.index(each["arm"]) if each["arm"] in first else len(first) + arms[each["arm"]],
            each["seed"],
        )
    )
    columns = SuiteRun.model_fields
    runs = [SuiteRun.model_validate({name: each[name] for name in columns if name in each}) for each in kept]
    values: dict[tuple[str, str, str], list[NDArray[np.float64]]] = {}
    for each in kept:
        if each["budget"] == options.budgets[0] and "values" in each:
            values.setdefault((each["table"], each["task"], each["arm"]), []).append(each["values"].numpy())
    return SuiteResults(
        schema_version=SUITE_SCHEMA_VERSION,
        command=command,
        budget=options.budgets[0],
        runs=runs,
        versus=versus(runs, {key: np.mean(seeds, axis=0) for key, seeds in values.items()}, options.budgets[0]),
        sizes=_sizes(kept),
        versions=versions(),
        hardware=hardware(torch.device("cpu")) | {"threads": 1, "cores": os.cpu_count(), "at once": options.jobs},
    )

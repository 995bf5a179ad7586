"""A find beside other methods: every method in turn, the tests of all pairs, `compare.json`."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasp_core.types import State
from sif.compare.isolate import NotRun, isolated
from sif.compare.results import SCHEMA_VERSION, Comparison, Row, Spread, Versus
from sif.compare.source import FOUND, Source, open_run
from sif.compare.statistics import holm, paired
from sif.compare.tuning import Terms
from sif.errors import RunError
from sif.host import shielded
from sif.results import hardware, versions
from sif.rivals.method import Method
from sif.rivals.methods import METHODS, name_problems
from sif.rivals.table import Table
from sif.run_directory import RunDirectory
from sif.runs.stages import Progress, Stages

__all__ = ["FOLDER", "compare_run"]

FOLDER = "compare"
"""The folder of a run in which the outcomes of finished methods are kept."""
_FLIPS, _RESAMPLES = 9_999, 4_999


@shielded(draws=True)
def compare_run(
    run: str | Path,
    names: Sequence[str] = tuple(METHODS),
    *,
    k: int | None = None,
    threshold: float | None = None,
    budget: float = 60.0,
    seeds: int = 3,
    root: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare the find of a finished run with methods of `METHODS`; write `compare.json` and return it.

    Each method runs in a process of its own, on one thread of the CPU: it is tuned for `budget` seconds on validation,
    trained with `seeds` seeds (the run's and those that follow; once where the seed changes nothing), and reads the
    test part once for each. `k` and `threshold` None are the run's own, or 10 and all pairs.

    A method that is finished is kept in the run, and read back where the same is asked for again: after a kill, or with
    other names. One that cannot run has a row that says why. Raises `RunError` with all problems before anything runs.
    """
    problems = name_problems(names)
    if not names:
        problems.append(f"no method to compare with; there are {', '.join(METHODS)}")
    if seeds < 1:
        problems.append(f"seeds = {seeds}; train each method once or more")
    terms = Terms(k=10 if k is None else k, budget=budget, seeds=tuple(range(max(1, seeds))))
    problems += terms.problems()
    if problems:
        raise RunError("\n  ".join([f"the comparison has {len(problems)} problem(s)", *problems]))
    source = open_run(run, k=k, threshold=threshold, root=root)
    terms = Terms(source.metric, source.k, budget, tuple(range(source.seed, source.seed + seeds)))
    if problems := terms.problems():
        raise RunError("\n  ".join([f"run {run} cannot be compared on its metric", *problems]))
    directory = RunDirectory(Path(run))
    runner = _Runner(directory, source.table, terms, root, progress or Progress())
    states = {FOUND: runner.outcome(source.find)} | {name: runner.outcome(METHODS[name]) for name in names}
    found = states[FOUND]
    if isinstance(found, str):
        raise RunError(f"the find of run {run} could not be compared: {found}")
    methods = {FOUND: source.find} | {name: METHODS[name] for name in names}
    rows = [_row(methods[name], state) for name, state in states.items()]
    others = {name: state for name, state in states.items() if name != FOUND and not isinstance(state, str)}
    tested = dict(zip(others, _tested(found, list(others.values())), strict=True))
    for row in rows:
        row.versus = tested.get(row.name)
    told = _comparison(source, terms, rows).model_dump()
    directory.write_json("compare.json", told)
    runner.clear()
    return told


class _Runner:
    """Runs methods one after another, each in a process of its own; a finished one is read back."""

    def __init__(
        self, directory: RunDirectory, table: Table, terms: Terms, root: Path | None, progress: Progress
    ) -> None:
        self.directory, self.table, self.terms, self.root, self.progress = directory, table, terms, root, progress
        self.stages, self.folder = Stages(directory, progress, folder=FOLDER), directory.path / FOLDER
        self.fingerprint = table.fingerprint()

    def outcome(self, method: Method) -> State | str:
        """Return what `run_method` returns, or why the method could not run."""
        if reason := _missing(method) or method.refuse(self.table):
            return reason
        job = {"method": method.name}
        if method.name == FOUND:
            job = {"run": str(self.directory.path), "root": "" if self.root is None else str(self.root)}
        told = _Told(self.progress, method.name)
        try:
            return self.stages.run(
                self._stage(method), lambda observer, resume: isolated(job, self.terms, self._file(), told)
            )
        except NotRun as error:
            return str(error)

    def clear(self) -> None:
        """Remove what only an unfinished comparison needs: tables, whole and half-written."""
        for left in (*self.folder.glob("table-*.npz"), *self.folder.glob(".*")):
            left.unlink(missing_ok=True)

    def _file(self) -> Path:
        """Return the file of the table, written when the first method needs it."""
        path = self.folder / f"table-{self.fingerprint}.npz"
        if not path.is_file():
            self.table.save(path)
        return path

    def _stage(self, method: Method) -> str:
        """Return a name that changes with everything that the outcome depends on."""
        grid = [dict(point) for point in method.grid]
        parts = [SCHEMA_VERSION, self.fingerprint, asdict(self.terms), method.key, grid, _version(method), versions()]
        return f"{method.name}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"


class _Told:
    """Shows the trainings of one method as steps."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name, self._done = progress, name, -1

    def __call__(self, done: int, of: int) -> None:
        if self._done < 0:
            self._done = 0
            self._progress.started(self._name, of, 0)
        for _ in range(self._done, done):
            self._progress.stepped()
        self._done = done
        self._progress.logged({})


def _missing(method: Method) -> str:
    """Return which package a method lacks and how to get it, or an empty string."""
    if not method.package or importlib.util.find_spec(method.package) is not None:
        return ""
    return f"{method.package} is not installed: {method.install}"


def _version(method: Method) -> str | None:
    try:
        return metadata.version(method.package) if method.package else None
    except metadata.PackageNotFoundError:
        return None


def _tested(found: State, others: list[State]) -> list[Versus]:
    """Test the find against each other method on the values of users, averaged over seeds."""
    if not others:
        return []
    for other in others:
        assert torch.equal(found["users"], other["users"])
    means = [state["values"].mean(dim=0).numpy() for state in (found, *others)]
    pairs = paired(means[0], np.stack(means[1:]), flips=_FLIPS, resamples=_RESAMPLES)
    corrected = holm([pair.p for pair in pairs])
    return [Versus(**asdict(pair), p_holm=p) for pair, p in zip(pairs, corrected, strict=True)]


def _spread(values: list[float]) -> Spread:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(mean=float(np.mean(values)), std=std)


def _row(method: Method, state: State | str) -> Row:
    done: State = {} if isinstance(state, str) else state
    tests: list[dict[str, float]] = done.get("test", [])
    read_back = bool(done.get("read_back"))
    seconds = {"search": method.searched}
    if done:
        seconds |= {"tuning": 0.0 if read_back else done["tuning_seconds"], "fit": float(np.mean(done["fit_seconds"]))}
    return Row(
        name=method.name,
        status="done" if done else "not run",
        reason=state if isinstance(state, str) else None,
        source=method.source,
        note=method.note,
        settings=done.get("settings", {}),
        deterministic=method.deterministic,
        seeds=done.get("seeds", []),
        valid=done.get("valid", {}),
        test={name: _spread([test[name] for test in tests]) for name in (tests[0] if tests else {})},
        test_by_seed=tests,
        points=len(method.grid),
        trials=done.get("trials", []),
        seconds=seconds,
        peak_memory_mb=None if read_back else done.get("peak_memory_mb"),
        parameters=done.get("parameters"),
        test_reads=done.get("test_reads", 0),
        version=_version(method),
        versus=None,
    )


def _comparison(source: Source, terms: Terms, rows: list[Row]) -> Comparison:
    table = source.table
    with_pairs = {part: int(np.count_nonzero(np.diff(getattr(table, part).indptr))) for part in ("valid", "test")}
    return Comparison(
        schema_version=SCHEMA_VERSION,
        dataset=source.dataset,
        split=source.split,
        table=table.fingerprint(),
        users={"all": table.n_users} | with_pairs,
        items=table.n_items,
        metric=terms.name,
        k=terms.k,
        threshold=source.threshold,
        budget_seconds=terms.budget,
        seeds=list(terms.seeds),
        flips=_FLIPS,
        resamples=_RESAMPLES,
        rows=rows,
        versions=versions(),
        hardware=hardware(torch.device("cpu")) | {"threads": 1},
    )

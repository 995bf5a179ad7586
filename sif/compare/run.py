"""The best architecture beside rivals: every method in turn, the tests of all pairs, `compare.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasp_core.loop import Observer
from nasp_core.types import State
from sif.compare.entrants import ComparedEntrant, entrants
from sif.compare.isolate import NotRun, in_this_process, isolated
from sif.compare.results import COMPARISON_SCHEMA_VERSION, ComparedRow, Comparison, Spread, Versus
from sif.compare.source import ComparedRun, open_run
from sif.compare.statistics import holm, paired
from sif.compare.tuning import ComparisonConfig
from sif.errors import RunError
from sif.host import shielded
from sif.journal import Journal
from sif.results import FOUND, hardware, versions
from sif.rivals.base import Rival
from sif.rivals.known import METHODS
from sif.rivals.pair_table import PairTable
from sif.run_directory import RunDirectory

__all__ = ["FOLDER", "compare_run"]

FOLDER = "compare"
"""The folder of a run in which the outcomes of finished methods are kept."""
_FLIPS, _RESAMPLES = 9_999, 4_999


@shielded(draws=True)
def compare_run(
    run: str | Path,
    rivals: Sequence[str | Rival | type] = tuple(METHODS),
    *,
    k: int | None = None,
    threshold: float | None = None,
    budget: float = 60.0,
    seeds: int = 3,
    root: Path | None = None,
    progress: Observer | None = None,
) -> dict[str, Any]:
    """Compare what a finished run found with rivals; write `compare.json` and return it.

    Of a run with two models it is the one that orders lists, whose run lies inside (`RunDirectory.lists`), as does
    `compare.json` then.

    Each learns in a process of its own, on one thread of the CPU: it is tuned for `budget` seconds on validation,
    trained with `seeds` seeds (the run's and those that follow; once where the seed changes nothing), and reads the
    test part once for each. What is finished is kept in the run, and read back where the same is asked for again:
    after a kill, or with other rivals. One that cannot run has a row that says why.

    Args:
        run: a finished run of ratings or rankings.
        rivals: names (of `METHODS`, entry points, `package.module:object`), or rivals of your own.
        k: places that are judged; None takes the run's own, or 10.
        threshold: only ratings from here on count; None takes the run's own, or all pairs.
        budget: seconds of tuning for each.
        seeds: how often each chosen method is trained.
        root: folder of data sets.
        progress: shows the trainings.

    Returns:
        What `compare.json` holds (docs/compare.md).

    Raises:
        RunError: all that is wrong with what was given, before anything runs; or another process is at work there.
        DataError: a part of the split has no pair that counts.
    """
    others, problems = entrants(rivals)
    if seeds < 1:
        problems.append(f"seeds = {seeds}; train each method once or more")
    config = ComparisonConfig(k=10 if k is None else k, budget=budget, seeds=tuple(range(max(1, seeds))))
    problems += config.problems()
    if problems:
        raise RunError("\n  ".join([f"the comparison has {len(problems)} problem(s)", *problems]))
    directory = RunDirectory.open(run, needs="result.json").lists()
    source = open_run(directory.path, k=k, threshold=threshold, root=root)
    config = ComparisonConfig(source.metric, source.k, budget, tuple(range(source.seed, source.seed + seeds)))
    if problems := config.problems():
        raise RunError("\n  ".join([f"run {run} cannot be compared on its metric", *problems]))
    with directory.alone("comparing"):
        runner = _Runner(directory, source.table, config, root, progress or Observer())
        result = _compared(source, others, config, runner).model_dump()
        directory.write_json("compare.json", result)
        runner.clear()
        directory.clear()
    return result


def _compared(
    source: ComparedRun, others: list[ComparedEntrant], config: ComparisonConfig, runner: _Runner
) -> Comparison:
    states = [
        (entrant, runner.outcome(entrant)) for entrant in (source.best, *(other.told(source.table) for other in others))
    ]
    best = states[0][1]
    if isinstance(best, str):
        raise RunError(f"the best architecture of run {runner.directory.path} could not be compared: {best}")
    rows = [_row(entrant, state) for entrant, state in states]
    done = {entrant.name: state for entrant, state in states[1:] if not isinstance(state, str)}
    tested = dict(zip(done, _tested(best, list(done.values())), strict=True))
    for row in rows:
        row.versus = tested.get(row.name)
    return _comparison(source, config, rows)


class _Runner:
    """Runs one after another, each in a process of its own; a finished one is read back."""

    def __init__(
        self,
        directory: RunDirectory,
        table: PairTable,
        config: ComparisonConfig,
        root: Path | None,
        progress: Observer,
    ) -> None:
        self.directory, self.table, self.config, self.root, self.progress = directory, table, config, root, progress
        self.journal = Journal(directory.path / FOLDER, "comparison")
        self.fingerprint = table.fingerprint()

    def outcome(self, entrant: ComparedEntrant) -> State | str:
        """Return what `run_method` returns, or why it could not run."""
        if reason := entrant.missing() or entrant.method.refuse(self.table):
            return reason
        job = {"rival": entrant.name}
        if entrant.name == FOUND:
            job = {"run": str(self.directory.path), "root": "" if self.root is None else str(self.root)}
        self.progress.stage(entrant.name)
        try:
            if entrant.here:
                return in_this_process(entrant.method, self.table, self.config, self.progress)
            state: State = self.journal.once(
                entrant.name, lambda: isolated(job, self.config, self._file(), self.progress), self._depends(entrant)
            )
            return state
        except NotRun as error:
            return str(error)

    def clear(self) -> None:
        """Remove what only an unfinished comparison needs: tables, whole and half-written."""
        for left in self.journal.folder.glob("table-*.npz"):
            left.unlink(missing_ok=True)
        self.journal.sweep()

    def _file(self) -> Path:
        """Return the file of the table, written when the first method needs it."""
        path = self.journal.folder / f"table-{self.fingerprint}.npz"
        if not path.is_file():
            self.table.save(path)
        return path

    def _depends(self, entrant: ComparedEntrant) -> list[Any]:
        """Return everything that an outcome depends on."""
        method = entrant.method
        grid = [dict(point) for point in method.grid]
        terms = COMPARISON_SCHEMA_VERSION, self.fingerprint, asdict(self.config)
        return [*terms, method.key, grid, entrant.version(), versions()]


def _tested(found: State, others: list[State]) -> list[Versus]:
    """Test the best architecture against each other on the values of users, averaged over seeds."""
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


def _row(entrant: ComparedEntrant, state: State | str) -> ComparedRow:
    method = entrant.method
    done: State = {} if isinstance(state, str) else state
    tests: list[dict[str, float]] = done.get("test", [])
    read_back = bool(done.get("read_back"))
    seconds = {"search": method.searched}
    if done:
        seconds |= {"tuning": 0.0 if read_back else done["tuning_seconds"], "fit": float(np.mean(done["fit_seconds"]))}
    return ComparedRow(
        name=entrant.name,
        status="done" if done else "not run",
        reason=state if isinstance(state, str) else None,
        source=entrant.source,
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
        version=entrant.version(),
        versus=None,
    )


def _comparison(source: ComparedRun, config: ComparisonConfig, rows: list[ComparedRow]) -> Comparison:
    table = source.table
    with_pairs = {part: int(np.count_nonzero(np.diff(getattr(table, part).indptr))) for part in ("valid", "test")}
    return Comparison(
        schema_version=COMPARISON_SCHEMA_VERSION,
        dataset=source.dataset,
        split=source.split,
        table=table.fingerprint(),
        users={"all": table.n_users} | with_pairs,
        items=table.n_items,
        metric=config.name,
        k=config.k,
        threshold=source.threshold,
        budget_seconds=config.budget,
        seeds=list(config.seeds),
        flips=_FLIPS,
        resamples=_RESAMPLES,
        rows=rows,
        versions=versions(),
        hardware=hardware(torch.device("cpu")) | {"threads": 1},
    )

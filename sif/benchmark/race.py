"""The race: every entrant with every seed, each kept when it is done, and the table that comes of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nasp_core.errors import NaspError
from nasp_core.loop import Observer
from nasp_core.strategy import Strategy
from sif.benchmark.budget import Budget
from sif.benchmark.entrants import Entrant
from sif.benchmark.problem import BenchmarkProblem, RacePlan
from sif.benchmark.results import RACE_SCHEMA_VERSION, Race, RaceRow, RaceRun, ordered, spread
from sif.benchmark.scores import ScoreRace
from sif.checkpoint import write_atomically
from sif.errors import RaceError
from sif.host import shielded
from sif.journal import Journal
from sif.results import hardware, versions

__all__ = ["race"]

_FAILURES = (NaspError, ArithmeticError, RuntimeError, ValueError, LookupError)
"""What a search may end with: shown in the table. Other exceptions are faults of the code, and end the race."""


@shielded(draws=True)
def race(
    problem: BenchmarkProblem,
    entrants: Sequence[Entrant],
    *,
    seeds: int,
    budget: Budget,
    out: Path,
    scores: ScoreRace | None = None,
    device: torch.device | None = None,
    progress: Observer | None = None,
) -> dict[str, Any]:
    """Let every entrant search with the seeds 0 to `seeds` - 1; write `results.json` into `out`, and return it.

    A finished run is kept in `out` at once, and read back when the same race is asked for again: after a kill, with
    more seeds or with other entrants.

    Args:
        problem: Data or a table.
        entrants: The strategies.
        seeds: How often each searches.
        budget: Of each search.
        out: The folder of the race.
        scores: Training-free scores, which are raced beside.
        device: Whose name the results note; None: the CPU.
        progress: Shows how many runs are done.

    Raises:
        RaceError: `out` holds another race, or `seeds` is below 1.
    """
    if seeds < 1:
        raise RaceError(f"--seeds {seeds}; run every strategy once or more")
    journal = Journal(out, "race", "give another --out", RaceError)
    with journal.opened({"benchmark": problem.describe(), "budget": _plain(budget), "versions": versions()}, "racing"):
        rows = _rows(problem, entrants, seeds, journal, progress or Observer())
        result = Race(
            schema_version=RACE_SCHEMA_VERSION,
            benchmark=problem.describe(),
            budget=_plain(budget),
            seeds=list(range(seeds)),
            columns=problem.columns,
            rows=ordered(rows, problem.columns[0]),
            scores=[] if scores is None else scores.rows(seeds, journal),
            versions=versions(),
            hardware=hardware(device or torch.device("cpu")),
        ).model_dump(mode="json")
        write_atomically(out / "results.json", json.dumps(result, indent=2) + "\n")
    return result


def _rows(
    problem: BenchmarkProblem, entrants: Sequence[Entrant], seeds: int, journal: Journal, progress: Observer
) -> list[RaceRow]:
    """Run all that is not refused, and return a row for each entrant."""
    unsupported = {entrant.name: problem.unsupported_reason(entrant) for entrant in entrants}
    progress.stage("race")
    progress.started("runs", sum(reason is None for reason in unsupported.values()) * seeds, 0)
    notes: dict[str, str | None] = {}
    runs: dict[str, list[RaceRun]] = {entrant.name: [] for entrant in entrants}
    for entrant in (entrant for entrant in entrants if unsupported[entrant.name] is None):
        for seed in range(seeds):
            runs[entrant.name].append(_run(problem, entrant, seed, journal))
            progress.stepped()
            progress.logged({})
        if any(run.status == "done" for run in runs[entrant.name]):
            notes[entrant.name] = problem.note(_plan(problem, entrant, journal))
    problem.finish([run for own in runs.values() for run in own])
    return [
        _row(entrant, unsupported[entrant.name], notes.get(entrant.name), runs[entrant.name]) for entrant in entrants
    ]


def _run(problem: BenchmarkProblem, entrant: Entrant, seed: int, journal: Journal) -> RaceRun:
    """Return a run: as it is kept, or done now."""

    def make() -> dict[str, Any]:
        try:
            run = problem.run(entrant, seed, _plan(problem, entrant, journal))
        except _FAILURES as error:
            reason = f"{type(error).__name__}: {str(error).strip()}"
            parts = entrant.strategy().describe()
            run = RaceRun(strategy=entrant.name, seed=seed, parts=parts, status="failed", reason=reason)
        return run.model_dump()

    return RaceRun(**journal.once(f"{entrant.name} seed {seed}", make, _settings(entrant)))


def _plan(problem: BenchmarkProblem, entrant: Entrant, journal: Journal) -> RacePlan:
    """Return the plan of an entrant: as it is kept, or made now."""
    plan: RacePlan = journal.once(f"{entrant.name} plan", lambda: problem.plan(entrant), _settings(entrant))
    return plan


def _settings(entrant: Entrant) -> list[Any]:
    """Return what changes with the settings of a strategy."""
    return [entrant.strategy().describe(), {key: repr(value) for key, value in entrant.settings.items()}]


def _row(entrant: Entrant, unsupported: str | None, note: str | None, runs: list[RaceRun]) -> RaceRow:
    strategy = entrant.strategy()
    done = [run for run in runs if run.status == "done"]
    best = Counter(str(run.found) for run in done)
    failures = list(dict.fromkeys(str(run.reason) for run in runs if run.status == "failed"))
    first = done[0] if done else RaceRun(strategy=entrant.name, seed=0, parts=strategy.describe(), status="failed")
    return RaceRow(
        strategy=entrant.name,
        kind="one-shot" if isinstance(strategy, Strategy) else "multi-trial",
        parts=first.parts,
        status="refused" if unsupported is not None else "done" if done else "failed",
        reason=unsupported or "; ".join(failures) or None,
        note=note,
        figures={name: spread([run.figures[name] for run in done]) for name in first.figures},
        best_architectures=dict(best.most_common()),
        effort={name: spread([run.effort[name] for run in done]) for name in first.effort},
        runs=runs,
    )


def _plain(budget: Budget) -> dict[str, Any]:
    return {"amount": budget.amount, "unit": budget.unit}

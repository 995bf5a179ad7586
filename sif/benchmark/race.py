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
from sif.benchmark.arena import BenchmarkProblem, RacePlan
from sif.benchmark.budget import Budget
from sif.benchmark.entrants import Entrant
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
    arena: BenchmarkProblem,
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
    more seeds or with other entrants. Raises `RaceError` where `out` holds another race. `scores` are raced beside.
    """
    if seeds < 1:
        raise RaceError(f"--seeds {seeds}; run every strategy once or more")
    journal = Journal(out, "race", "give another --out", RaceError)
    with journal.opened({"arena": arena.describe(), "budget": _plain(budget), "versions": versions()}, "racing"):
        rows = _rows(arena, entrants, seeds, journal, progress or Observer())
        told = Race(
            schema_version=RACE_SCHEMA_VERSION,
            arena=arena.describe(),
            budget=_plain(budget),
            seeds=list(range(seeds)),
            columns=arena.columns,
            rows=ordered(rows, arena.columns[0]),
            scores=[] if scores is None else scores.rows(seeds, journal),
            versions=versions(),
            hardware=hardware(device or torch.device("cpu")),
        ).model_dump(mode="json")
        write_atomically(out / "results.json", json.dumps(told, indent=2) + "\n")
    return told


def _rows(
    arena: BenchmarkProblem, entrants: Sequence[Entrant], seeds: int, journal: Journal, progress: Observer
) -> list[RaceRow]:
    """Run all that is not refused, and return a row for each entrant."""
    refusals = {entrant.name: arena.refusal(entrant) for entrant in entrants}
    progress.stage("race")
    progress.started("runs", sum(reason is None for reason in refusals.values()) * seeds, 0)
    notes: dict[str, str | None] = {}
    runs: dict[str, list[RaceRun]] = {entrant.name: [] for entrant in entrants}
    for entrant in (entrant for entrant in entrants if refusals[entrant.name] is None):
        for seed in range(seeds):
            runs[entrant.name].append(_run(arena, entrant, seed, journal))
            progress.stepped()
            progress.logged({})
        if any(run.status == "done" for run in runs[entrant.name]):
            notes[entrant.name] = arena.note(_plan(arena, entrant, journal))
    arena.finish([run for own in runs.values() for run in own])
    return [_row(entrant, refusals[entrant.name], notes.get(entrant.name), runs[entrant.name]) for entrant in entrants]


def _run(arena: BenchmarkProblem, entrant: Entrant, seed: int, journal: Journal) -> RaceRun:
    """Return a run: as it is kept, or done now."""

    def make() -> dict[str, Any]:
        try:
            run = arena.run(entrant, seed, _plan(arena, entrant, journal))
        except _FAILURES as error:
            reason = f"{type(error).__name__}: {str(error).strip()}"
            parts = entrant.strategy().describe()
            run = RaceRun(strategy=entrant.name, seed=seed, parts=parts, status="failed", reason=reason)
        return run.model_dump()

    return RaceRun(**journal.once(f"{entrant.name} seed {seed}", make, _settings(entrant)))


def _plan(arena: BenchmarkProblem, entrant: Entrant, journal: Journal) -> RacePlan:
    """Return the plan of an entrant: as it is kept, or made now."""
    plan: RacePlan = journal.once(f"{entrant.name} plan", lambda: arena.plan(entrant), _settings(entrant))
    return plan


def _settings(entrant: Entrant) -> list[Any]:
    """Return what changes with the settings of a strategy."""
    return [entrant.strategy().describe(), {key: repr(value) for key, value in entrant.settings.items()}]


def _row(entrant: Entrant, refusal: str | None, note: str | None, runs: list[RaceRun]) -> RaceRow:
    strategy = entrant.strategy()
    done = [run for run in runs if run.status == "done"]
    finds = Counter(str(run.found) for run in done)
    failures = list(dict.fromkeys(str(run.reason) for run in runs if run.status == "failed"))
    first = done[0] if done else RaceRun(strategy=entrant.name, seed=0, parts=strategy.describe(), status="failed")
    return RaceRow(
        strategy=entrant.name,
        kind="one-shot" if isinstance(strategy, Strategy) else "multi-trial",
        parts=first.parts,
        status="refused" if refusal is not None else "done" if done else "failed",
        reason=refusal or "; ".join(failures) or None,
        note=note,
        figures={name: spread([run.figures[name] for run in done]) for name in first.figures},
        finds=dict(finds.most_common()),
        effort={name: spread([run.effort[name] for run in done]) for name in first.effort},
        runs=runs,
    )


def _plain(budget: Budget) -> dict[str, Any]:
    return {"amount": budget.amount, "unit": budget.unit}

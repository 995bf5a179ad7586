"""The race: every entrant with every seed, each kept when it is done, and the table that comes of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from nasp_core.errors import NaspError
from nasp_core.strategy import Strategy
from sif.benchmark.budget import Budget
from sif.benchmark.entrants import Entrant
from sif.benchmark.problem import BenchmarkProblem, RacePlan
from sif.benchmark.results import RACE_SCHEMA_VERSION, Race, RaceRow, RaceRun, ordered, spread
from sif.benchmark.scores import ScoreRace
from sif.checkpoint import write_atomically
from sif.errors import RaceError
from sif.host import shielded
from sif.results import hardware, versions
from sif.runs.stages import Progress

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
    progress: Progress | None = None,
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
    progress = progress or Progress()
    folder = _Folder(out, {"benchmark": problem.describe(), "budget": _plain(budget), "versions": versions()})
    unsupported = {entrant.name: problem.unsupported_reason(entrant) for entrant in entrants}
    progress.stage("race")
    progress.started("runs", sum(reason is None for reason in unsupported.values()) * seeds, 0)
    notes: dict[str, str | None] = {}
    runs: dict[str, list[RaceRun]] = {entrant.name: [] for entrant in entrants}
    for entrant in (entrant for entrant in entrants if unsupported[entrant.name] is None):
        for seed in range(seeds):
            runs[entrant.name].append(_run(problem, entrant, seed, folder))
            progress.stepped()
            progress.logged({})
        if any(run.status == "done" for run in runs[entrant.name]):
            notes[entrant.name] = problem.note(folder.plan(entrant, problem))
    problem.finish([run for own in runs.values() for run in own])
    rows = [
        _row(entrant, unsupported[entrant.name], notes.get(entrant.name), runs[entrant.name]) for entrant in entrants
    ]
    result = Race(
        schema_version=RACE_SCHEMA_VERSION,
        benchmark=problem.describe(),
        budget=_plain(budget),
        seeds=list(range(seeds)),
        columns=problem.columns,
        rows=ordered(rows, problem.columns[0]),
        scores=[] if scores is None else scores.rows(seeds, folder.kept),
        versions=versions(),
        hardware=hardware(device or torch.device("cpu")),
    ).model_dump(mode="json")
    folder.write("results.json", json.dumps(result, indent=2) + "\n")
    return result


class _Folder:
    """The folder of a race: its settings, and a file for every finished run."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
        known = path / "race.json"
        if known.is_file() and known.read_text() != text:
            raise RaceError(
                f"{path} holds another race (data, budget, settings or versions differ); give another --out"
            )
        if path.is_file() or (path.is_dir() and not known.is_file() and any(path.iterdir())):
            raise RaceError(f"{path} exists and holds no race; give another --out")
        try:
            (path / "runs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RaceError(f"cannot make the folder {path}: {error.strerror}; give another --out") from None
        self.write("race.json", text)

    def write(self, name: str, text: str) -> None:
        """Write a file whole or not at all."""
        write_atomically(self.path / name, text)

    def run(self, entrant: Entrant, seed: int) -> RaceRun | None:
        """Return a finished run, None where there is none."""
        path = self.path / "runs" / f"{_stem(entrant)}-{seed}.json"
        if not path.is_file():
            return None
        try:
            return RaceRun.model_validate_json(path.read_text())
        except ValidationError:
            raise RaceError(f"{path} is damaged; remove it, and the run is done again") from None

    def keep(self, entrant: Entrant, run: RaceRun) -> None:
        """Keep a finished run."""
        self.write(f"runs/{_stem(entrant)}-{run.seed}.json", run.model_dump_json(indent=2) + "\n")

    def plan(self, entrant: Entrant, problem: BenchmarkProblem) -> RacePlan:
        """Return the plan of an entrant: the one that is kept, or a new one."""
        plan: RacePlan = self.kept(f"{_stem(entrant)}-plan", lambda: problem.plan(entrant))
        return plan

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the plain value that is kept under a name, or what `make` gives, which is kept from then on."""
        file = f"runs/{re.sub(r'[^-.=,0-9A-Za-z_]+', '_', name)}.json"
        if not (self.path / file).is_file():
            self.write(file, json.dumps(make()) + "\n")
        return json.loads((self.path / file).read_text())


def _stem(entrant: Entrant) -> str:
    """Return a file name that changes with the settings of a strategy."""
    parts = json.dumps([entrant.strategy().describe(), {key: repr(value) for key, value in entrant.settings.items()}])
    return f"{entrant.name}-{hashlib.sha256(parts.encode()).hexdigest()[:8]}"


def _run(problem: BenchmarkProblem, entrant: Entrant, seed: int, folder: _Folder) -> RaceRun:
    known = folder.run(entrant, seed)
    if known is not None:
        return known
    try:
        run = problem.run(entrant, seed, folder.plan(entrant, problem))
    except _FAILURES as error:
        reason = f"{type(error).__name__}: {str(error).strip()}"
        parts = entrant.strategy().describe()
        run = RaceRun(strategy=entrant.name, seed=seed, parts=parts, status="failed", reason=reason)
    folder.keep(entrant, run)
    return run


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

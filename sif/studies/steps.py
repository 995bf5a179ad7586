"""The steps of a study in order, each written down before it is taken: what goes on, and what is repeated."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sif.checkpoint import write_atomically
from sif.errors import RunError
from sif.recipes.limit import Limit
from sif.run_directory import STEPS, RunDirectory

__all__ = ["Steps", "differing", "goes_on", "refuse_spent", "schedule_of", "told_steps"]

TOLD = "trials.jsonl"


class Steps:
    """What a study decided, in a file of its journal; a mark says with which budget it went on from there.

    A budget in trials decides the same again, so that only what stands before the last mark is followed as it was
    decided. The clock does not: what was decided by it is followed, and so is the schedule of a run that is repeated.
    """

    def __init__(self, folder: Path, limit: Limit, repeats: RunDirectory | None = None) -> None:
        """Read the steps of an earlier process, or begin.

        Args:
            folder: Of the journal.
            limit: The budget; another one than that of the last mark makes a new mark.
            repeats: A finished study whose steps a new one takes again.
        """
        self._file = folder / STEPS
        self._lines = _read(self._file)
        if not self._lines:
            again = [] if repeats is None else schedule_of(repeats)
            told = {"repeats": str(repeats.path.resolve()), "stopped": _without_blend(repeats)} if repeats else {}
            self._lines = [{"budget": str(limit), **told}, *again]
        elif [line for line in self._lines if "budget" in line][-1]["budget"] != str(limit):
            self._lines.append({"budget": str(limit)})
        marks = [at for at, line in enumerate(self._lines) if "budget" in line]
        self.repeats: str | None = self._lines[0].get("repeats") if len(marks) == 1 else None
        """The run that is repeated."""
        self.stopped = bool(self._lines[0].get("stopped"))
        """Whether that ended by an interrupt, without what comes after the last training."""
        self.closed = self.repeats is not None
        """Whether nothing is decided any more: the run repeats another."""
        self._at = len(self._lines) if self.closed or limit.trials is None else marks[-1] + 1
        self.past = [line for line in self._lines[: self._at] if "budget" not in line]
        """The steps to follow before anything is decided."""
        self.known = 0 if repeats is not None else len(self._lines) - len(marks)
        """How many steps an earlier process took, or began."""
        self._write()

    def take(self, step: Mapping[str, Any], at: float) -> None:
        """Write down the step that is taken next.

        Args:
            step: As plain data.
            at: The seconds that the study took so far; they are for `spent` alone.
        """
        known = self._lines[self._at : self._at + 1]
        if not known or {**known[0], "at": 0.0} != {**json.loads(json.dumps(step)), "at": 0.0}:
            self._lines[self._at :] = [{**step, "at": round(at, 3)}]
            self._write()
        self._at += 1

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The steps that were taken, in order; the last one may not have come to its end."""
        return [line for line in self._lines[: self._at] if "budget" not in line]

    @property
    def test_reads(self) -> int:
        """How often the test part was read when the study ended before."""
        return int(self._lines[0].get("test_reads", 0))

    @test_reads.setter
    def test_reads(self, number: int) -> None:
        self._lines[0]["test_reads"] = number
        self._write()

    def _write(self) -> None:
        write_atomically(self._file, "".join(json.dumps(line) + "\n" for line in self._lines))


def _read(file: Path) -> list[dict[str, Any]]:
    """Return the lines of a file; none where there is none, or where its beginning is no mark."""
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []
    return lines if lines and "budget" in lines[0] else []


def told_steps(
    taken: Sequence[Mapping[str, Any]], trials: Sequence[Mapping[str, Any]], rivals: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the lines of trials.jsonl: of each step what it came to, in order.

    Args:
        taken: The steps.
        trials: Lines of trainings, in order.
        rivals: Lines of trainings of rivals, in order.
    """
    left = {True: list(rivals), False: list(trials)}
    kinds = ["rival" in step for step in taken if "supernet" not in step]
    return [dict(left[kind].pop(0)) for kind in kinds if left[kind]]


def schedule_of(directory: RunDirectory) -> list[dict[str, Any]]:
    """Return what a finished study trained, in order, to be repeated.

    Raises:
        RunError: It was no study, or its trials.jsonl does not tell all of it.
    """
    told = directory.result().get("study")
    if not told:
        raise RunError(
            f"run {directory.path} is no study: its strategy gives the same bits by itself; search again with: "
            f"sif search --recipe {directory.path}/recipe.toml"
        )
    try:
        lines = [json.loads(line) for line in directory.file(TOLD).read_text(encoding="utf-8").splitlines()]
        kinds = ["rival" in line for line in lines if {"value", "settings"} <= line.keys()]
    except (ValueError, AttributeError, TypeError):
        kinds = []
    if (kinds.count(False), kinds.count(True)) != (told["trials"], told["rival_trials"]):
        raise RunError(
            f"{directory.path / TOLD} does not hold the {told['trials']} trainings and {told['rival_trials']} of "
            f"rivals that {directory.path / 'result.json'} counts; bring the file back, or search again with: "
            f"sif search --recipe {directory.path}/recipe.toml"
        )
    return lines


def differing(then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> str:
    """Return the first training whose value is another than it was, in words; empty where all are equal."""
    for number, (before, after) in enumerate(zip(then, now, strict=False), 1):
        if before["value"] != after["value"]:
            what = before.get("rival") or f"trial {before['trial']}"
            return f"training {number} ({what}) has the value {after['value']!r}, and had {before['value']!r}"
    return f"only {len(now)} of {len(then)} trainings are repeated so far" if len(now) < len(then) else ""


def goes_on(directory: RunDirectory, recipe: Any) -> bool:
    """Return whether there is something left to do: no result, that of a study that was stopped, or another budget.

    Args:
        directory: Of the run.
        recipe: Its own, or with another budget.
    """
    if not directory.finished:
        return True
    told = directory.result().get("study") or {}
    return interrupted(directory) or bool(told and told["asked"] != recipe.study.budget)


def interrupted(directory: RunDirectory) -> bool:
    """Return whether a finished run is a study that an interrupt ended."""
    return bool((directory.result().get("study") or {}).get("interrupted"))


def refuse_spent(directory: RunDirectory, limit: Limit) -> None:
    """Raise `RunError` where a study cannot go on with another budget: it has spent that, or kept no journal.

    Args:
        directory: Of the study, and in it maybe that of another goal.
        limit: The budget to go on with.
    """
    files = [_read(path) for path in directory.path.rglob(f"checkpoint/{STEPS}")]
    if not files and directory.finished:
        again = f"sif search --recipe {directory.path}/recipe.toml --budget {limit}"
        raise RunError(f"run {directory.path} keeps no checkpoint/{STEPS} to go on from; search again with: {again}")
    steps = [[line for line in lines if "budget" not in line] for lines in files]
    number, seconds = sum(map(len, steps)), sum(lines[-1].get("at", 0.0) for lines in steps if lines)
    spent = Limit(trials=number) if limit.trials is not None else Limit(seconds=float(max(1, round(seconds))))
    left = limit.trials - number if limit.trials is not None else (limit.seconds or 0.0) - seconds
    if number and left <= 0:
        more = Limit(spent.seconds and 2 * spent.seconds, spent.trials and 2 * spent.trials)
        raise RunError(
            f"--budget {limit} is no more than run {directory.path} has spent already ({spent}); give more: "
            f"sif search --resume {directory.path} --budget {more}"
        )


def _without_blend(directory: RunDirectory) -> bool:
    """Return whether a study was stopped before it had a blend."""
    return interrupted(directory) and "blend" not in directory.result()["rows"]

"""The contract of a suite's `results.json`, and the figures that are made of its runs: ranks, regrets, tests."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from sif.benchmark.suite_arms import RANDOM_ARM, STUDY, changed_part
from sif.compare.statistics import holm, paired
from sif.results import StrictModel

__all__ = [
    "BEST",
    "SUITE_SCHEMA_VERSION",
    "Figures",
    "Question",
    "SuiteResults",
    "SuiteRun",
    "SuiteVersus",
    "best_rival",
    "is_rival",
    "questions_in",
    "ranks",
    "regret",
    "versus",
]

SUITE_SCHEMA_VERSION = 1
_FLIPS, _RESAMPLES = 4_999, 1_999
BEST = "best rival"
"""The opponent that is another rival on every table: the one that is best on validation."""

Question = tuple[str, str]
"""A table, and the task that it is searched for."""


class SuiteRun(StrictModel):
    """One arm with one seed on one table: its metric on validation and test, and what it spent.

    `reason`: why it did not run; figures are None then. `handed`: what it handed over, in words.
    """

    table: str
    task: Literal["rating", "ranking"]
    arm: str
    budget: str
    seed: int
    reason: str | None = None
    metric: str = ""
    maximise: bool = True
    valid: float | None = None
    test: float | None = None
    seconds: float | None = None
    trials: int | None = None
    peak_memory_mb: float | None = None
    handed: str = ""


class SuiteVersus(StrictModel):
    """The study against another arm on one table, over the users or ratings of the test part, means over seeds.

    `difference` is above 0 where the study is better: of the metric of users, or of the squared errors of ratings; its
    95 % interval is [`low`, `high`]. `p_holm`: corrected over the tables on which the study met the same opponent.
    `against`: `best rival` (whose name is `theirs`), `random`, or the study without a part.
    """

    table: str
    task: Literal["rating", "ranking"]
    against: str
    theirs: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float


class SuiteResults(StrictModel):
    """All finished runs of a suite's folder.

    `sizes`: users, items, pairs of each part, and the Gini index of items' popularity (`gini`), of each table as it was
    tried on.
    """

    schema_version: int
    command: str
    budget: str
    runs: list[SuiteRun]
    versus: list[SuiteVersus]
    sizes: dict[str, dict[str, int | float]]
    versions: dict[str, str]
    hardware: dict[str, Any]


def is_rival(arm: str) -> bool:
    """Return whether an arm is a rival: neither a study nor random search."""
    return arm not in (STUDY, RANDOM_ARM) and not changed_part(arm)


def questions_in(runs: Iterable[SuiteRun]) -> list[Question]:
    """Return each table with each of its tasks, in the order of the runs."""
    return list(dict.fromkeys((run.table, run.task) for run in runs))


class Figures:
    """The figures of one table and task: means over seeds by arm, at one budget."""

    def __init__(self, runs: Sequence[SuiteRun], question: Question, budget: str) -> None:
        """Take the runs.

        Args:
            runs: Of a suite, all of them.
            question: The table and its task.
            budget: The one that counts; the best known value is that of any.
        """
        own = [run for run in runs if (run.table, run.task) == question and run.test is not None]
        self.metric, self.maximise = (own[0].metric, own[0].maximise) if own else ("", True)
        self.runs: dict[str, list[SuiteRun]] = {}
        for run in own:
            if run.budget == budget:
                self.runs.setdefault(run.arm, []).append(run)
        tested = [run.test for run in own if run.test is not None]
        self.best = (max(tested) if self.maximise else min(tested)) if tested else None
        self.test = {arm: statistics.fmean(run.test or 0.0 for run in seeds) for arm, seeds in self.runs.items()}
        self.valid = {arm: statistics.fmean(run.valid or 0.0 for run in seeds) for arm, seeds in self.runs.items()}

    def regret(self, arm: str) -> float | None:
        """Return how far the arm's mean is from the best known value, as a share of that; None where it has none."""
        return None if self.best is None or arm not in self.test else regret(self.test[arm], self.best, self.maximise)

    def ranks(self, arms: Iterable[str]) -> dict[str, float]:
        """Return the place of each arm among those given that have a value, best first, from 1."""
        return ranks({arm: self.test[arm] for arm in arms if arm in self.test}, self.maximise)

    def best_rival(self) -> str | None:
        """Return the rival that is best on validation; None where none ran."""
        return best_rival(self.valid, self.maximise)


def regret(value: float, best: float, maximise: bool) -> float:
    """Return how far a value is from the best known one, as a share of that: 0 and up.

    Args:
        value: Of an arm.
        best: Of all that are known.
        maximise: Whether more is better.
    """
    return (best - value if maximise else value - best) / best


def ranks(values: Mapping[str, float], maximise: bool) -> dict[str, float]:
    """Return the place of each value, best first, from 1; equal ones share the mean of their places."""
    signed = [-value if maximise else value for value in values.values()]
    return dict(zip(values, map(float, rankdata(signed)), strict=True)) if signed else {}


def best_rival(valid: Mapping[str, float], maximise: bool) -> str | None:
    """Return the rival with the best validation value; None where there is none."""
    rivals = {arm: value for arm, value in valid.items() if is_rival(arm)}
    return (max if maximise else min)(rivals, key=lambda arm: rivals[arm]) if rivals else None


def versus(
    runs: Sequence[SuiteRun], values: Mapping[tuple[str, str, str], NDArray[np.float64]], budget: str
) -> list[SuiteVersus]:
    """Test the study against its best rival, random search, and itself without each part, on every table.

    Args:
        runs: Of the suite.
        values: By table, task and arm what each user or rating of the test part adds, means over seeds, `[n]`.
        budget: The one that counts.
    """
    made: list[SuiteVersus] = []
    for table, task in questions_in(runs):
        figures = Figures(runs, (table, task), budget)
        opponents = {arm: arm for arm in figures.test if arm != STUDY and not is_rival(arm)}
        rival = figures.best_rival()
        opponents |= {} if rival is None else {BEST: rival}
        if STUDY not in figures.test or not opponents:
            continue
        sign = 1.0 if figures.maximise else -1.0  # squared errors: less is better
        ours = sign * values[table, task, STUDY]
        theirs = np.stack([sign * values[table, task, arm] for arm in opponents.values()])
        tests = paired(ours, theirs, flips=_FLIPS, resamples=_RESAMPLES)
        for (against, arm), test in zip(opponents.items(), tests, strict=True):
            told = {"table": table, "task": task, "against": against, "theirs": arm, **asdict(test), "p_holm": test.p}
            made.append(SuiteVersus.model_validate(told))
    for against in dict.fromkeys(each.against for each in made):
        family = [each for each in made if each.against == against]
        for each, p in zip(family, holm([each.p for each in family]), strict=True):
            each.p_holm = p
    return made

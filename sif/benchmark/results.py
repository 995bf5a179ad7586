"""The contract of a race's `results.json`: a closed, versioned model; and how its rows are made of runs."""

import math
import statistics
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from sif.results import StrictModel

__all__ = ["RACE_SCHEMA_VERSION", "Column", "Race", "RaceRow", "RaceRun", "RaceSpread", "ScoreRow", "ordered", "spread"]

RACE_SCHEMA_VERSION = 2


class RaceSpread(StrictModel):
    """Mean and sample standard deviation over the seeds that did not fail; None where too few are left."""

    mean: float | None
    std: float | None


class Column(StrictModel):
    """A figure of every run. `better`: which end is good, None for a figure that only tells. `digits` to show."""

    name: str
    better: Literal["more", "less"] | None
    digits: int


class RaceRun(StrictModel):
    """One search with one seed: what it found, its figures, what it spent; `failed` with the reason where it did.

    - `found`: the key of the genotype.
    - `effort`: epochs of the supernet, or points asked for.
    - `whole`: genotype key -> validation metric of every point that was trained by the race's final schedule.
    """

    strategy: str
    seed: int
    parts: dict[str, str]
    status: Literal["done", "failed"]
    reason: str | None = None
    found: str | None = None
    figures: dict[str, float] = Field(default_factory=dict)
    effort: dict[str, float] = Field(default_factory=dict)
    whole: dict[str, float] = Field(default_factory=dict)


class RaceRow(StrictModel):
    """A strategy over all seeds; `refused` with the reason where it cannot search the space.

    `best_architectures` counts the genotypes found, `note` says what a reader must know (such as that it exceeded
    the budget).
    """

    strategy: str
    kind: Literal["one-shot", "multi-trial"]
    parts: dict[str, str]
    status: Literal["done", "failed", "refused"]
    reason: str | None
    note: str | None
    figures: dict[str, RaceSpread]
    best_architectures: dict[str, int]
    effort: dict[str, RaceSpread]
    runs: list[RaceRun]


class ScoreRow(StrictModel):
    """How a training-free score orders `cells` random cells: rank correlations with a true accuracy, over seeds."""

    score: str
    kendall_tau: RaceSpread
    spearman: RaceSpread
    cells: int
    reason: str | None


class Race(StrictModel):
    """The outcome of a race."""

    schema_version: int
    benchmark: dict[str, Any]
    budget: dict[str, Any]
    seeds: list[int]
    columns: list[Column]
    rows: list[RaceRow]
    scores: list[ScoreRow]
    versions: dict[str, str]
    hardware: dict[str, Any]


def spread(values: Sequence[float]) -> RaceSpread:
    """Return the mean and the sample standard deviation."""
    mean = statistics.fmean(values) if values else None
    return RaceSpread(mean=mean, std=statistics.stdev(values) if len(values) > 1 else None)


def ordered(rows: Sequence[RaceRow], column: Column) -> list[RaceRow]:
    """Return the rows best first by the mean of a column, then those without a figure, each group in its order."""

    def place(row: RaceRow) -> float:
        mean = row.figures[column.name].mean if column.name in row.figures else None
        if mean is None:
            return math.inf
        return -mean if column.better == "more" else mean

    return sorted(rows, key=place)

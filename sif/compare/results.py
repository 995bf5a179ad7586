"""The contract of `compare.json`: a closed, versioned model."""

from __future__ import annotations

from typing import Any, Literal

from sif.results import StrictModel

__all__ = ["COMPARISON_SCHEMA_VERSION", "ComparedRow", "Comparison", "Spread", "Trial", "Versus"]

COMPARISON_SCHEMA_VERSION = 1


class Spread(StrictModel):
    """A figure over seeds: its mean and sample standard deviation; None of one seed."""

    mean: float
    std: float | None


class Trial(StrictModel):
    """One point of a grid: its settings, the metric on validation, and the seconds of its training."""

    settings: dict[str, Any]
    metric: float
    seconds: float


class Versus(StrictModel):
    """What was found less this rival on the test part: mean over users, 95 % interval, p-value, and that after Holm."""

    difference: float
    low: float
    high: float
    p: float
    p_holm: float


class ComparedRow(StrictModel):
    """One rival, or the best architecture.

    A method that could not run has a `reason`, and what else it would have is None or empty. `points` are those of its
    grid, `trials` what the budget let it try. `seconds`: `search` (before the comparison, of what was found), `tuning`
    (all trials and their validations), `fit` (one final training, mean over seeds). `peak_memory_mb` is None where
    nothing was trained here.
    """

    name: str
    status: Literal["done", "not run"]
    reason: str | None
    source: str
    note: str
    settings: dict[str, Any]
    deterministic: bool
    seeds: list[int]
    valid: dict[str, float]
    test: dict[str, Spread]
    test_by_seed: list[dict[str, float]]
    points: int
    trials: list[Trial]
    seconds: dict[str, float]
    peak_memory_mb: float | None
    parameters: int | None
    test_reads: int
    version: str | None
    versus: Versus | None


class Comparison(StrictModel):
    """The best architecture of a run beside rivals on one split; see docs/compare.md."""

    schema_version: int
    dataset: str
    split: dict[str, Any]
    table: str
    users: dict[str, int]
    items: int
    metric: str
    k: int
    threshold: float | None
    budget_seconds: float
    seeds: list[int]
    flips: int
    resamples: int
    rows: list[ComparedRow]
    versions: dict[str, str]
    hardware: dict[str, Any]

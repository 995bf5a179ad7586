"""The contract of `result.json` of a run of cells: a closed, versioned model; see docs/result.md."""

from __future__ import annotations

from typing import Any

from sif.results import Closed, Metrics

__all__ = ["CellResult", "CellRow", "CellSeconds", "Truth"]


class CellSeconds(Closed):
    """Wall-clock seconds of each stage, attempts before a resume included; `total` is of the last attempt alone."""

    search: float
    train: float
    random_search: float
    total: float


class Truth(Closed):
    """True accuracies (percent, by data set) of a cell as a table of NAS-Bench-201 has them."""

    cell: str
    accuracy: dict[str, float]


class CellRow(Closed):
    """One cell: what it is, how well its network does (None where it was not trained or not read), what it costs.

    `searched` is the validation metric by which its search chose it; `seconds` are those of search and training.
    """

    genotype: dict[str, Any]
    cell: str
    searched: float
    valid: dict[str, float] | None
    test: dict[str, float] | None
    seconds: float
    parameters: int
    multiply_adds: int
    trials: int | None
    truth: Truth | None


class CellResult(Closed):
    """What a run of cells found and what it cost."""

    schema_version: int
    task: str
    dataset: dict[str, Any]
    strategy: dict[str, Any]
    recipe: str
    budget: str
    seed: int
    genotype: dict[str, Any]
    cell: str
    metric: str
    maximise: bool
    supernet: dict[str, float]
    metrics: Metrics
    rows: dict[str, CellRow]
    best: Truth | None
    mean: Truth | None
    seconds: CellSeconds
    peak_memory_mb: float
    parameters: int
    multiply_adds: int
    epochs: dict[str, int] | None
    fingerprint: str
    test_reads: int
    retrained: dict[str, Any] | None
    versions: dict[str, str]
    hardware: dict[str, Any]

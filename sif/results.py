"""The contract of `result.json`: a closed, versioned model."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

__all__ = ["SCHEMA_VERSION", "Closed", "Metrics", "Result", "hardware", "peak_memory_mb", "versions"]

SCHEMA_VERSION = 1


class Closed(BaseModel):
    """A table of a result: no unknown keys."""

    model_config = ConfigDict(extra="forbid")


class Metrics(Closed):
    """Metrics of the find on validation and test; None where the part was not read."""

    valid: dict[str, float] | None
    test: dict[str, float] | None


class Seconds(Closed):
    """Wall-clock seconds of each stage, attempts before a resume included; `total` is of the last attempt alone."""

    search: float
    train: float
    evaluate: float
    baselines: float
    total: float


class Row(Closed):
    """One row of the comparison: a baseline, tuned where it says so, trained and evaluated like the find."""

    valid: dict[str, float]
    test: dict[str, float] | None
    seconds: float
    parameters: int
    settings: dict[str, Any]


class Result(Closed):
    """What a run found and what it cost; see docs/result.md."""

    schema_version: int
    task: str
    dataset: dict[str, Any]
    strategy: dict[str, Any]
    recipe: str
    seed: int
    genotype: dict[str, Any]
    formula: str
    metric: str
    maximise: bool
    metrics: Metrics
    baselines: dict[str, Row]
    enumeration: dict[str, float] | None
    regret: float | None
    seconds: Seconds
    peak_memory_mb: float
    parameters: int
    tuned: dict[str, Any]
    epochs: dict[str, int]
    split_fingerprint: str
    split: dict[str, Any]
    scale: dict[str, float] | None
    test_reads: int
    retrained: dict[str, Any] | None
    versions: dict[str, str]
    hardware: dict[str, Any]


def versions() -> dict[str, str]:
    """Return the versions of everything that can change a number."""
    packages = ("sif-nas", "torch", "numpy", "scipy", "polars")
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware(device: torch.device) -> dict[str, Any]:
    """Return what the run ran on."""
    facts: dict[str, Any] = {
        "device": str(device),
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory of the process so far, in MiB; on CUDA the peak of the device's allocator."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # not on Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10

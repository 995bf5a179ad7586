"""The contract of `result.json`: one closed, versioned model for every problem."""

import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FOUND", "SCHEMA_VERSION", "Handed", "Metrics", "Result", "Row", "Seconds", "StrictModel"]
__all__ += ["hardware", "is_refit", "notes_of", "peak_memory_mb", "refit_done", "upgraded", "versions"]

SCHEMA_VERSION = 2
FOUND = "found"
"""The row of the best architecture."""


class StrictModel(BaseModel):
    """A table of a result: no unknown keys."""

    model_config = ConfigDict(extra="forbid")


class Metrics(StrictModel):
    """Metrics of the model on validation and test; None where the part was not read."""

    valid: dict[str, float] | None
    test: dict[str, float] | None


class Seconds(StrictModel):
    """Wall-clock seconds of each stage, attempts before a resume included; `total` is of the last attempt alone.

    `rivals` are those of all other rows, enumeration included.
    """

    search: float
    train: float
    rivals: float
    evaluate: float
    total: float


class Row(StrictModel):
    """One model of the comparison, trained and evaluated like all others.

    - `settings`: what tuning chose.
    - `genotype`, `formula`, `searched`, `trials`: of what a search found: the architecture, the metric by which the
      search chose it, and how many architectures were trained alone.
    - `multiply_adds`, `truth`: of cells.
    - `refit`: whether `test` is of the model after a refit on training and validation part.
    """

    valid: dict[str, float] | None
    test: dict[str, float] | None
    seconds: float
    parameters: int
    settings: dict[str, Any] = Field(default_factory=dict)
    genotype: dict[str, Any] | None = None
    formula: str | None = None
    searched: float | None = None
    trials: int | None = None
    multiply_adds: int | None = None
    truth: dict[str, float] | None = None
    refit: bool = False


class Handed(StrictModel):
    """The rival that a run hands over: its name (and row), settings and seed, and how it is served, in words."""

    name: str
    settings: dict[str, Any]
    seed: int
    formula: str
    additive: bool
    served: str


class Result(StrictModel):
    """What a run found and what it cost; see docs/result.md.

    `handed` is the rival that the run hands over, None where that is the architecture that it found; without any
    architecture `genotype` is empty. `ranking` is what orders lists, of a study of ratings that searched that too; its
    own run lies in the folder `ranking`.
    """

    schema_version: int
    task: str
    dataset: dict[str, Any]
    strategy: dict[str, Any]
    recipe: str
    budget: str | None
    seed: int
    genotype: dict[str, Any]
    formula: str
    metric: str
    maximise: bool
    metrics: Metrics
    rows: dict[str, Row]
    enumeration: dict[str, float] | None
    regret: float | None
    truth: dict[str, dict[str, float]] | None
    seconds: Seconds
    peak_memory_mb: float
    parameters: int
    multiply_adds: int | None
    tuned: dict[str, Any]
    epochs: dict[str, int] | None
    fingerprint: str
    split: dict[str, Any] | None
    scale: dict[str, float] | None
    test_reads: int
    retrained: dict[str, Any] | None
    study: dict[str, Any] | None = None
    handed: Handed | None = None
    ranking: dict[str, Any] | None = None
    versions: dict[str, str]
    hardware: dict[str, Any]


def refit_done(result: Mapping[str, Any]) -> list[str]:
    """Return the change of a recipe under which a study ends with a refit exactly where that of a result did.

    Args:
        result: Of the run.
    """
    told = (result.get("study") or {}).get("refit")
    return [f"study.refit={'true' if told['done'] else 'false'}"] if told else []


def is_refit(result: Mapping[str, Any]) -> bool:
    """Return whether a run's model learnt from the validation part too, by a refit; a later training takes its place.

    Args:
        result: Of the run.
    """
    own = (result.get("handed") or {}).get("name", FOUND)
    return not result["retrained"] and bool(result["rows"].get(own, {}).get("refit"))


def notes_of(result: Mapping[str, Any]) -> list[str]:
    """Return what the feedback is (in results that say so), and what reading and cutting the data found odd."""
    parts = [result.get(part) or {} for part in ("dataset", "split")]
    told = [parts[0]["feedback"]["told"]] if "feedback" in parts[0] else []
    return told + [note for part in parts for note in part.get("notes", ())]


def upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """Return a result of schema version 1 as one of this version; others as they are."""
    if data.get("schema_version") != 1:
        return data
    of_cells = data["task"] in ("image", "text")
    return _upgraded_cells(dict(data)) if of_cells else _upgraded_table(dict(data))


def _upgraded_table(data: dict[str, Any]) -> dict[str, Any]:
    seconds = data["seconds"]
    found = {key: data[key] for key in ("genotype", "formula", "parameters")} | data["metrics"]
    found |= {"seconds": seconds["search"] + seconds["train"], "settings": data["tuned"]}
    rows = {FOUND: found, **data.pop("baselines")}
    data |= {
        "schema_version": SCHEMA_VERSION,
        "budget": None,
        "rows": {name: _row(row) for name, row in rows.items()},
        "truth": None,
        "multiply_adds": None,
        "fingerprint": data.pop("split_fingerprint"),
        "seconds": {key: value for key, value in seconds.items() if key != "baselines"},
    }
    data["seconds"]["rivals"] = seconds["baselines"]
    return data


def _upgraded_cells(data: dict[str, Any]) -> dict[str, Any]:
    seconds = data["seconds"]
    best, mean = data.pop("best"), data.pop("mean")
    for row in data["rows"].values():
        row["formula"], row["truth"] = row.pop("cell"), row["truth"] and row["truth"]["accuracy"]
    data.pop("supernet")
    data |= {
        "schema_version": SCHEMA_VERSION,
        "formula": data.pop("cell"),
        "rows": {name: _row(row) for name, row in data["rows"].items()},
        "truth": best and {"best": best["accuracy"], "mean": mean["accuracy"]},
        "seconds": {
            "search": seconds["search"],
            "train": seconds["train"],
            "rivals": seconds["random_search"],
            "evaluate": 0.0,
            "total": seconds["total"],
        },
    }
    return data | {"enumeration": None, "regret": None, "tuned": {}, "split": None, "scale": None}


def _row(values: Mapping[str, Any]) -> dict[str, Any]:
    return Row.model_validate(values).model_dump()


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

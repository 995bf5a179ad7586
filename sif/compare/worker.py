"""The process in which one method of a comparison runs; `sif.compare.isolate` starts it and reads what it says."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nasp_core.errors import NaspError
from sif.checkpoint import save_tree
from sif.compare.source import find_of
from sif.compare.tuning import Terms, run_method
from sif.results import peak_memory_mb
from sif.rivals.method import Method
from sif.rivals.methods import METHODS
from sif.rivals.table import Table

__all__ = ["main", "peak_mb", "resident_mb"]

_STATUS = Path("/proc/self/status")


def main() -> None:
    """Do the one job that stands on standard input as JSON; say on standard output how far it is, line by line.

    Whatever else writes to standard output is sent to standard error.
    """
    job = json.loads(sys.stdin.read())
    with os.fdopen(os.dup(1), "w", buffering=1) as out:
        os.dup2(2, 1)
        try:
            _work(job, lambda message: out.write(json.dumps(message) + "\n"))
        except (NaspError, ImportError, MemoryError) as error:
            out.write(json.dumps({"refused": f"{type(error).__name__}: {error}"}) + "\n")
            raise SystemExit(3) from None


def _work(job: dict[str, Any], tell: Callable[[dict[str, Any]], Any]) -> None:
    torch.set_num_threads(1)
    table = Table.load(Path(job["table"]))
    terms = Terms(**job["terms"] | {"seeds": tuple(job["terms"]["seeds"])})
    method = _method(job)
    before = resident_mb()
    state = run_method(method, table, terms, lambda done, of: tell({"done": done, "of": of}))
    save_tree(Path(job["outcome"]), state | {"peak_memory_mb": max(0.0, peak_mb() - before)})


def _method(job: dict[str, Any]) -> Method:
    if "method" in job:
        return METHODS[job["method"]]
    return find_of(job["run"], Path(job["root"]) if job["root"] else None)


def _pages(field: str) -> float | None:
    """Return a figure of this process's memory in MiB, as Linux tells it; None elsewhere."""
    if not _STATUS.is_file():
        return None
    kept = [line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith(f"{field}:")]
    return float(kept[0]) / 2**10 if kept else None


def resident_mb() -> float:
    """Return what this process holds in memory now, in MiB; where the system does not tell, its peak so far."""
    now = _pages("VmRSS")
    return peak_mb() if now is None else now


def peak_mb() -> float:
    """Return the most that this process has held, in MiB.

    On Linux not by getrusage: what that gives a new process begins with the memory of the process that started it.
    """
    most = _pages("VmHWM")
    return peak_memory_mb(torch.device("cpu")) if most is None else most

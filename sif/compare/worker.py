"""The process in which one method of a comparison runs; `sif.compare.isolate` starts it and reads what it says."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch

from nasp_core.errors import NaspError
from nasp_core.loop import Observer
from sif.checkpoint import save_tree
from sif.compare.source import best_of
from sif.compare.tuning import ComparisonConfig, run_method
from sif.results import peak_memory_mb
from sif.rivals.known import rival
from sif.rivals.method import Method
from sif.rivals.pair_table import PairTable

__all__ = ["main", "peak_mb", "resident_mb", "serve"]

_STATUS = Path("/proc/self/status")


def main() -> None:
    """Tune, train and judge the method that stands on standard input (`serve`)."""
    serve(_work)


def serve(work: Callable[[dict[str, Any], Callable[[dict[str, Any]], Any]], None]) -> None:
    """Do the job that stands on a line of standard input as JSON; say on standard output how far it is, line by line.

    Whatever else writes to standard output is sent to standard error. The process ends with the one that asked.

    Args:
        work: From the job, and a function that tells the asker a message, to what is saved as `outcome`.
    """
    job, done = json.loads(sys.stdin.readline()), threading.Event()
    threading.Thread(target=_end_with_asker, args=(done,), daemon=True).start()
    with os.fdopen(os.dup(1), "w", buffering=1) as out:
        os.dup2(2, 1)
        try:
            work(job, lambda message: out.write(json.dumps(message) + "\n"))
        except (NaspError, ImportError, MemoryError) as error:
            out.write(json.dumps({"refused": f"{type(error).__name__}: {error}"}) + "\n")
            raise SystemExit(3) from None
        finally:
            done.set()


def _end_with_asker(done: threading.Event) -> None:
    """End this process when the one that asked is gone, whose end of standard input closes with it."""
    while os.read(0, 1024):
        pass
    if not done.is_set():
        os._exit(4)


class _Told(Observer):
    """Says what it is shown."""

    def __init__(self, tell: Callable[[dict[str, Any]], Any]) -> None:
        self._tell = tell

    def started(self, what: str, steps: int, done: int) -> None:
        self._tell({"started": [what, steps, done]})

    def stepped(self) -> None:
        self._tell({"stepped": 1})


def _work(job: dict[str, Any], tell: Callable[[dict[str, Any]], Any]) -> None:
    torch.set_num_threads(1)
    table = PairTable.load(Path(job["table"]))
    config = ComparisonConfig(**job["config"] | {"seeds": tuple(job["config"]["seeds"])})
    method = _method(job)
    before = resident_mb()
    state = run_method(method, table, config, _Told(tell))
    save_tree(Path(job["outcome"]), state | {"peak_memory_mb": max(0.0, peak_mb() - before)})


def _method(job: dict[str, Any]) -> Method:
    if "rival" in job:
        method = rival(job["rival"]).method
        assert method is not None
        return method
    return best_of(job["run"], Path(job["root"]) if job["root"] else None)


def resident_mb() -> float:
    """Return what this process holds in memory now, in MiB."""
    return float(psutil.Process().memory_info().rss) / 2**20


def peak_mb() -> float:
    """Return the most that this process has held, in MiB.

    On Linux not by getrusage: what that gives a new process begins with the memory of the process that started it.
    psutil knows no peak there.
    """
    if _STATUS.is_file() and (most := re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())):
        return float(most[1]) / 2**10
    peak = getattr(psutil.Process().memory_info(), "peak_wset", None)  # on Windows
    return peak_memory_mb(torch.device("cpu")) if peak is None else float(peak) / 2**20

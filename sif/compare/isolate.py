"""One method in a process of its own: its memory measured, its threads pinned, its death survived."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from nasp_core.errors import NaspError
from nasp_core.loop import Observer
from nasp_core.types import State
from sif.checkpoint import load_tree
from sif.compare.tuning import ComparisonConfig, run_method
from sif.rivals.method import Method
from sif.rivals.pair_table import PairTable

__all__ = ["NotRun", "in_a_process", "in_this_process", "isolated"]

_PACKAGES = Path(__file__).parents[2]
_START = "import sys; sys.path[:] = {!r}; from {} import {} as work; work()"
"""With the path of this process: the same sif, and the asker's own modules."""


class NotRun(Exception):
    """A method could not run here; the text says why. No error of the comparison: its row says so."""

    @property
    def stopped(self) -> bool:
        """Whether somebody ended its process on purpose, so that nothing is known of the method."""
        return any(name in str(self) for name in ("SIGINT", "SIGTERM"))


def isolated(job: dict[str, Any], config: ComparisonConfig, table: Path, observer: Observer | None = None) -> State:
    """Run `sif.compare.tuning.run_method` in a new Python process and return its outcome, with `peak_memory_mb`.

    `job` names what is run: the method of `rival` by its name, or the best architecture of `run` (with the `root` of
    data sets); `observer` is shown its trainings. The process computes on one thread. Its peak memory is of resident
    pages, above what it held before the method began: the table and torch are in that, the method's own libraries are
    not. Raises `NotRun` when it refuses, fails, or is killed.
    """
    return in_a_process("sif.compare.worker:main", job | {"config": asdict(config), "table": str(table)}, observer)


def in_a_process(worker: str, job: Mapping[str, Any], observer: Observer | None = None) -> State:
    """Run a function in a new Python process, and return the tree that it saved.

    Args:
        worker: The function, `package.module:name`; it calls `sif.compare.worker.serve`.
        job: What it is to do, as plain data; the file for its outcome is added as `outcome`.
        observer: Is shown its progress.

    Raises:
        NotRun: It refuses, fails, or is killed; with the reason.
    """
    with tempfile.TemporaryDirectory(prefix="sif-compare-") as folder, tempfile.TemporaryFile() as said:
        outcome = Path(folder) / "outcome.safetensors"
        command = [sys.executable, "-c", _START.format([*sys.path, str(_PACKAGES)], *worker.split(":"))]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": said, "text": True}
        with subprocess.Popen(command, **pipes) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps({**job, "outcome": str(outcome)}) + "\n")
                process.stdin.flush()  # it stays open: the process ends when nobody holds its other end
                reason = _listened(process.stdout, observer or Observer())
            except BaseException:
                process.kill()
                raise
        if process.returncode == 0 and outcome.is_file():
            state: State = load_tree(outcome)
            return state
        said.seek(0)
        raise NotRun(reason or _reason(process.returncode, said.read().decode(errors="replace")))


def in_this_process(method: Method, table: PairTable, config: ComparisonConfig, observer: Observer) -> State:
    """Run a method that no other process can import, on one thread too; raises `NotRun` when it fails."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return run_method(method, table, config, observer)
    except (NaspError, ImportError, MemoryError) as error:
        raise NotRun(f"{type(error).__name__}: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError) as error:
        raise NotRun(f"it failed: {type(error).__name__}: {error}") from error
    finally:
        torch.set_num_threads(threads)


def _listened(lines: Any, observer: Observer) -> str:
    """Pass the progress on; return what the process gave as its reason to stop, if anything."""
    reason = ""
    for line in lines:
        message = json.loads(line)
        if "refused" in message:
            reason = message["refused"]
        elif "started" in message:
            observer.started(*message["started"])
        else:
            observer.stepped()
            observer.logged({})
    return reason


def _reason(code: int, said: str) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        hint = ": out of memory, most likely" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{hint}"
    last = next((line for line in reversed(said.splitlines()) if line.strip()), f"exit code {code}")
    return f"it failed: {last.strip()}"

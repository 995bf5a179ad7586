"""The process in which one arm of a suite spends its budget on one table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sif.benchmark.suite_arms import run_arm
from sif.checkpoint import save_tree
from sif.compare.worker import peak_mb, serve

__all__ = ["arm_worker"]


def arm_worker() -> None:
    """Run the arm that stands on standard input (`serve`)."""
    serve(_work)


def _work(job: dict[str, Any], tell: Callable[[dict[str, Any]], Any]) -> None:
    torch.set_num_threads(1)
    state = run_arm(job)
    save_tree(Path(job["outcome"]), state | {"peak_memory_mb": peak_mb()})

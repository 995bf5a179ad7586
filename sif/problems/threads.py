"""How many threads a training gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sif.problems.recipes import Recipe

__all__ = ["threads_for"]


@contextmanager
def threads_for(recipe: Recipe, device: torch.device) -> Iterator[None]:
    """Use one thread where a batch is too small to share out, and put the number back.

    A step on a batch of 512 x 16 numbers is many short operations: a second thread makes them slower, much slower on a
    busy machine. One thread also gives the same sums on every machine.
    """
    before = torch.get_num_threads()
    small = recipe.training("train").batch_size * recipe.settings().embedding_dim < 1 << 18
    if small and device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

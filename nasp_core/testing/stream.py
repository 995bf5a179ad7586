"""A seekable stream of batches over tensors, for planted tasks."""

from __future__ import annotations

import torch
from torch import Tensor

from nasp_core.types import Batch, derive_seed

__all__ = ["ShuffledStream"]


class ShuffledStream:
    """Batches cut from a new permutation each pass; batch `i` depends on the seed and `i` alone.

    Shapes: `inputs` is indexed along `axis`, `target` along 0; the last batch of a pass may be smaller.
    """

    def __init__(self, inputs: Tensor, target: Tensor, batch_size: int, seed: int, axis: int = 0) -> None:
        self._inputs, self._target = inputs, target
        self._size, self._seed, self._axis = batch_size, seed, axis

    def __len__(self) -> int:
        """Return the number of batches of one pass."""
        return -(-self._target.shape[0] // self._size)

    def batch(self, step: int) -> Batch:
        """Return batch `step`, counted from the very start."""
        turn, offset = divmod(step, len(self))
        generator = torch.Generator().manual_seed(derive_seed(self._seed, "pass", turn))
        order = torch.randperm(self._target.shape[0], generator=generator)
        rows = order[offset * self._size : (offset + 1) * self._size].to(self._target.device)
        return Batch(self._inputs.index_select(self._axis, rows), self._target[rows])

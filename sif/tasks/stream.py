"""Batches as slices of a permutation of tensors that already lie on the device."""

from __future__ import annotations

import torch
from torch import Tensor

from nasp_core.types import Batch, derive_seed

__all__ = ["TensorStream"]


class TensorStream:
    """An endless, seekable sequence of batches, reshuffled on every pass.

    Shapes: `inputs` `[fields, n]`, `target` `[n]`; a batch is `[fields, batch]`, `[batch]`, the last of a pass
    smaller. Batch `i` depends on the seed and `i` alone.
    """

    def __init__(self, inputs: Tensor, target: Tensor, batch_size: int, seed: int) -> None:
        self._inputs, self._target, self._size, self._seed = inputs, target, batch_size, seed
        self._pass = -1
        self._batches: list[Batch] = []

    def __len__(self) -> int:
        """Return the number of batches of one pass."""
        return -(-self._target.shape[0] // self._size)

    def batch(self, step: int) -> Batch:
        """Return batch `step`, counted from the very start."""
        index, offset = divmod(step, len(self))
        if index != self._pass:
            generator = torch.Generator().manual_seed(derive_seed(self._seed, index))
            order = torch.randperm(self._target.shape[0], generator=generator).to(self._target.device)
            inputs, target = self._inputs[:, order], self._target[order]
            self._batches = [
                Batch(i, t)
                for i, t in zip(torch.split(inputs, self._size, 1), torch.split(target, self._size), strict=True)
            ]
            self._pass = index
        return self._batches[offset]

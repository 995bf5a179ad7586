"""Batches as slices of a permutation of tensors that already lie on the device."""

import torch
from torch import Tensor

from nasp_core.stream import Passes
from nasp_core.types import Batch

__all__ = ["TensorStream"]


class TensorStream:
    """An endless, seekable sequence of batches, reshuffled on every pass.

    Shapes: `inputs` `[fields, n]`, `target` `[n]`; a batch is `[fields, batch]`, `[batch]`, the last of a pass
    smaller. Batch `i` depends on the seed and `i` alone.
    """

    def __init__(self, inputs: Tensor, target: Tensor, batch_size: int, seed: int) -> None:
        self._inputs, self._target = inputs, target
        self._passes = Passes(target.shape[0], batch_size, seed, self._cut)

    def _cut(self, order: Tensor, _: torch.Generator) -> list[Batch]:
        order, size = order.to(self._target.device), self._passes.size
        inputs, target = torch.split(self._inputs[:, order], size, 1), torch.split(self._target[order], size)
        return [Batch(*pair) for pair in zip(inputs, target, strict=True)]

    def __len__(self) -> int:
        """Return the number of batches of one pass."""
        return len(self._passes)

    def batch(self, step: int) -> Batch:
        """Return batch `step`, counted from the very start."""
        batches, offset = self._passes.at(step)
        return batches[offset]

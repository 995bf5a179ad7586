"""A seekable stream of batches over tensors, for planted tasks."""

from torch import Tensor

from nasp_core.stream import Passes
from nasp_core.types import Batch

__all__ = ["ShuffledStream"]


class ShuffledStream:
    """Batches cut from a new permutation each pass; batch `i` depends on the seed and `i` alone.

    Shapes: `inputs` is indexed along `axis`, `target` along 0; the last batch of a pass may be smaller.
    """

    def __init__(self, inputs: Tensor, target: Tensor, batch_size: int, seed: int, axis: int = 0) -> None:
        self._inputs, self._target, self._axis = inputs, target, axis
        self._passes = Passes(target.shape[0], batch_size, seed, lambda order, _: order, "pass")

    def __len__(self) -> int:
        """Return the number of batches of one pass."""
        return len(self._passes)

    def batch(self, step: int) -> Batch:
        """Return batch `step`, counted from the very start."""
        order, offset = self._passes.at(step)
        rows = order[self._passes.part(offset)].to(self._target.device)
        return Batch(self._inputs.index_select(self._axis, rows), self._target[rows])

"""Passes over rows, each in a new order: what every reshuffled stream of batches is made of."""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from nasp_core.types import derive_seed

__all__ = ["Passes"]

T = TypeVar("T")


class Passes(Generic[T]):
    """An endless, seekable sequence of batches of rows; batch `i` depends on the seed and `i` alone.

    Args:
        rows: how many rows a pass has.
        size: of a batch; the last of a pass may be smaller.
        seed: of all orders.
        draw: called once a pass with its order `[rows]` (of `dtype`, on the CPU) and the generator that drew it; what
            it returns is kept for the pass: the order on a device, or what is drawn beside it.
        words: set this sequence's orders apart from others of the same seed.
        dtype: of the order.
    """

    def __init__(
        self,
        rows: int,
        size: int,
        seed: int,
        draw: Callable[[Tensor, torch.Generator], T],
        *words: str,
        dtype: torch.dtype = torch.int64,
    ) -> None:
        self.rows, self.size = rows, size
        self._seed, self._draw, self._words, self._dtype = seed, draw, words, dtype
        self._pass: int | None = None
        self._kept: T | None = None

    def __len__(self) -> int:
        """Return the number of batches of one pass."""
        return -(-self.rows // self.size)

    def at(self, step: int) -> tuple[T, int]:
        """Return what was drawn for the pass of batch `step`, and the batch's number within it."""
        index, offset = divmod(step, len(self))
        if self._kept is None or index != self._pass:
            generator = torch.Generator().manual_seed(derive_seed(self._seed, *self._words, index))
            order = torch.randperm(self.rows, generator=generator, dtype=self._dtype)
            self._kept, self._pass = self._draw(order, generator), index
        return self._kept, offset

    def part(self, offset: int) -> slice:
        """Return the places of a batch within its pass."""
        return slice(offset * self.size, (offset + 1) * self.size)

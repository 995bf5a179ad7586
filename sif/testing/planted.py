"""Ratings made by a known operation, so that a search has a right answer."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from nasp_core.errors import SpaceError
from nasp_core.testing.stream import ShuffledStream
from nasp_core.types import Stream, derive_seed
from sif.operations import OPERATIONS
from sif.operations.tensor import TENSOR_OPERATIONS

__all__ = ["PlantedTask"]


class PlantedTask:
    """A rating task whose ratings are w . o(u, v), or w . o(u, v, c), for a known operation o, plus Gaussian noise.

    The operation is looked up by the number of `sizes`: two modes `plus`, `minus`, `multiply`, ... (`OPERATIONS`);
    three modes the 53 compositions such as `0_max_plus`. Vectors are standard normal with `dim` entries, the entries
    of w have one size and random signs. Noise-free ratings are standardised over all cells, so an RMSE of 1 is
    that of the mean and an RMSE of `noise` is the best that can be had.

    Shapes: ids int64 `[modes, n]`, ratings float32 `[n]`, n = density * product of the sizes, cut 60/20/20 into
    training, validation and test. All cells are enumerated: keep the product of the sizes below a few million.
    Raises `SpaceError` for an operation that has no such number of modes, or cannot cut vectors of that size.
    """

    metric = "rmse"
    maximise = False

    def __init__(
        self,
        operation: str,
        sizes: tuple[int, ...] = (40, 30),
        *,
        dim: int = 2,
        density: float = 0.5,
        noise: float = 0.1,
        seed: int = 0,
    ) -> None:
        table = OPERATIONS if len(sizes) == 2 else TENSOR_OPERATIONS
        if operation not in table or len(sizes) not in (2, 3):
            raise SpaceError(f"no operation {operation!r} on {len(sizes)} modes; there are {', '.join(table)}")
        if dim % table[operation].divisor:
            raise SpaceError(f"dim = {dim}; operation {operation} cuts vectors into {table[operation].divisor} blocks")
        self.operation, self.sizes, self.noise = table[operation], sizes, noise
        generator = torch.Generator().manual_seed(derive_seed(seed, "planted", operation))
        modes = [torch.randn(size, dim, generator=generator) for size in sizes]
        signs = torch.randint(0, 2, (self.operation.width * dim,), generator=generator) * 2 - 1
        cells = torch.cartesian_prod(*(torch.arange(size) for size in sizes)).T.contiguous()
        rows = [mode[ids] for mode, ids in zip(modes, cells, strict=True)]
        truth = self.operation.forward(*rows) @ (signs * len(signs) ** -0.5)
        truth = (truth - truth.mean()) / truth.std()
        ratings = truth + noise * torch.randn(truth.shape, generator=generator)
        kept = torch.randperm(len(ratings), generator=generator)[: max(5, round(density * len(ratings)))]
        first, second = round(0.6 * len(kept)), round(0.8 * len(kept))
        places = {"train": kept[:first], "valid": kept[first:second], "test": kept[second:]}
        self.parts = {name: (cells[:, rows].contiguous(), ratings[rows]) for name, rows in places.items()}

    def stream(self, split: Literal["train", "valid"], batch_size: int, seed: int) -> Stream:
        """Return the batches of the training or validation part."""
        return ShuffledStream(*self.parts[split], batch_size, seed, axis=1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error."""
        return functional.mse_loss(output, target)

    def evaluate(self, predict: Callable[[Tensor], Tensor], split: str = "valid") -> dict[str, float]:
        """Return `rmse`, in standard units of the noise-free ratings."""
        inputs, target = self.parts[split]
        return {"rmse": math.sqrt(float((predict(inputs).double() - target.double()).square().mean()))}

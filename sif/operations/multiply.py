"""The product u * v, entry by entry."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sif.encodings.rows import Rows, inner
from sif.operations.base import Operation
from sif.operations.tables import FoldedSide

__all__ = ["Multiply"]

_PRODUCTS = 1 << 24  # hidden units of all pairs that may be held at once: 64 MiB of float32


class Multiply(Operation):
    """u * v. Weighted it is an inner product, and so is -||u * v||^2 = -<u * u, v * v>."""

    name, formula = "multiply", "({0} * {1})"
    forward, onnx_kind = staticmethod(torch.mul), "Mul"
    product, negates = True, ()

    def gradient(self, grad: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return grad * v and grad * u."""
        return grad * v, grad * u

    def canonical(self, predictor: str, *, networks: bool) -> tuple[str, str] | None:
        """Return the `sum` for `linear` without networks: weights go into the user's tables, and it trains faster."""
        return ("multiply", "sum") if predictor == "linear" and not networks else None

    def weighted(self, u: Rows, v: Rows, width: int, weight: Tensor | None = None) -> Tensor:
        """Return weighted inner products."""
        return inner(u, v, width, weight)

    def distance(self, u: Rows, v: Rows, width: int) -> Tensor:
        """Return -<u * u, v * v>."""
        return -inner(Rows(u.values.square(), u.index), Rows(v.values.square(), v.index), width)

    def mlp(self, u: Rows, v: Rows, width: int, parameters: Sequence[Tensor]) -> Tensor:
        """Return an MLP of u * v; of all pairs by matrix products, where what they hold is not too much."""
        if not width:
            of_users, of_items = u.full(), v.full()
            if len(of_users) * len(of_items) * len(parameters[0]) <= _PRODUCTS:
                return _tower_of_products(of_users, of_items, parameters)
        return super().mlp(u, v, width, parameters)

    def fold_weighted(self, weight: Tensor, mode: int, x: Tensor) -> FoldedSide:
        """Fold to an inner product, the weights in the user's table."""
        return FoldedSide.of(x.new_zeros(len(x)), product=x if mode else x * weight)

    def fold_distance(self, mode: int, x: Tensor) -> FoldedSide:
        """Fold to an inner product of squares."""
        return FoldedSide.of(x.new_zeros(len(x)), product=x.square() if mode else -x.square())


def _tower_of_products(u: Tensor, v: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Return an MLP of u * v as `[n, m]`: a unit of its first layer is an inner product of weighted vectors."""
    weight, bias, *rest = parameters
    units = (u.unsqueeze(1) * weight).flatten(0, 1) @ v.T  # [n * units, m]
    hidden = (units.view(len(u), len(weight), len(v)) + bias.unsqueeze(1)).relu_()
    for weight, bias in zip(rest[:-1:2], rest[1::2], strict=True):
        hidden = (weight @ hidden + bias.unsqueeze(1)).relu_()
    return torch.matmul(rest[-1], hidden).squeeze(1)

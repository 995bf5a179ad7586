"""The maximum max(u, v), entry by entry."""

import torch
from torch import Tensor

from sif.encodings.rows import Rows
from sif.operations.base import Operation
from sif.operations.kernels import Weighted, extremum_gradient, grid_by_distance, read_pairs
from sif.operations.tables import FoldedSide, extremum

__all__ = ["Max"]


class Max(Operation):
    """max(u, v). Weighted it is two L1 distances and biases, and -||max(u, v)||^2 is four.

    w max(a, b) is max(wa, wb) for w >= 0 and min(wa, wb) for w < 0, and max, min(a, b) = (a + b)/2 +- |a - b|/2.
    max(a, b)^2 = max(a+^2, b+^2) + min(a-^2, b-^2) with x+ = max(x, 0), x- = max(-x, 0).
    """

    name, formula = "max", "max({0}, {1})"
    forward, onnx_kind = staticmethod(torch.maximum), "Max"
    selects, sign = True, 1.0
    """1 for the maximum, -1 for the minimum, which is -max(-u, -v)."""

    def gradient(self, grad: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient for the side that gives the entry; where u = v, for the item."""
        return extremum_gradient(self.sign, grad, u, v)

    def weighted(self, u: Rows, v: Rows, width: int, weight: Tensor | None = None) -> Tensor:
        """Return w . max(u, v), of all pairs by way of Manhattan distances."""
        weight = self._ones(u.values) if weight is None else weight
        if width:
            return read_pairs(self, Weighted(), u, v, width, [weight])
        return grid_by_distance(self.sign, u.full(), v.full(), weight)

    def fold_weighted(self, weight: Tensor, mode: int, x: Tensor) -> FoldedSide:
        """Fold to two L1 distances and biases."""
        return extremum(self.sign, weight, x)

    def fold_distance(self, mode: int, x: Tensor) -> FoldedSide:
        """Fold to L1 distances of the squares of positive and of negative parts."""
        above, below = x.clamp_min(0).square(), x.clamp_max(0).square()
        weight = -x.new_ones(x.shape[1])
        return FoldedSide.joined([extremum(self.sign, weight, above), extremum(-self.sign, weight, below)])

"""relu(u + v): what an MLP on a sum of two vectors does after its first layer, applied to either side alone."""

import torch
from torch import Tensor

from sif.encodings.rows import Rows
from sif.operations.kernels import Weighted, grid_by_distance, read_pairs, where_positive
from sif.operations.tables import FoldedSide, extremum

__all__ = ["HINGE", "Hinge"]


class Hinge:
    """relu(u + v) = max(u, -v) + v; a step of an MLP, and no candidate of a search."""

    name, selects = "relu", True

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """Return relu(u + v)."""
        return torch.add(u, v).relu_()

    def gradient(self, grad: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient where the sum is above 0, for both."""
        above = u + v
        both = where_positive(above, grad.expand_as(above))
        return both, both

    def weighted(self, u: Rows, v: Rows, width: int, weight: Tensor) -> Tensor:
        """Return w . relu(u + v) (see `Operation.weighted`)."""
        if width:
            return read_pairs(self, Weighted(), u, v, width, [weight])
        items = v.full()
        return grid_by_distance(1.0, u.full(), -items, weight) + items @ weight

    def fold_weighted(self, weight: Tensor, mode: int, x: Tensor) -> FoldedSide:
        """Fold w . relu(u + v) to two L1 distances and biases."""
        if mode:
            return FoldedSide.joined([FoldedSide.of(x @ weight), extremum(1.0, weight, -x)])
        return extremum(1.0, weight, x)


HINGE = Hinge()

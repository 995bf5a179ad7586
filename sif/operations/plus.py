"""The sum u + v."""

import torch
from torch import Tensor

from sif.encodings.rows import Rows, broadcast, inner
from sif.operations.base import Operation
from sif.operations.tables import FoldedSide

__all__ = ["Plus"]


class Plus(Operation):
    """u + v. Weighted it is f(user) + g(item); -||u + v||^2 = -||u||^2 - ||v||^2 - 2 <u, v>."""

    name, formula = "plus", "({0} + {1})"
    forward, onnx_kind = staticmethod(torch.add), "Add"
    negates: tuple[int, ...] = ()
    twice = -2.0
    """The factor of <u, v> in -||o(u, v)||^2."""

    def canonical(self, predictor: str, *, networks: bool) -> tuple[str, str] | None:
        """Return the `sum` for `linear` without networks: its weights go into the tables."""
        return ("plus", "sum") if predictor == "linear" and not networks else None

    def halves(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights, alike for both."""
        return weight, weight

    def distance(self, u: Rows, v: Rows, width: int) -> Tensor:
        """Return -||u||^2 - ||v||^2 -+ 2 <u, v>."""
        return inner(u, v, width) * self.twice + broadcast(u.norms(), v.norms(), width)

    def fold_distance(self, mode: int, x: Tensor) -> FoldedSide:
        """Fold to an inner product and biases."""
        return FoldedSide.of(-x.square().sum(1), product=x if mode else self.twice * x)

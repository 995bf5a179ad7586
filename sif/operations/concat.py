"""The concatenation [u; v]."""

import torch
from torch import Tensor

from sif.encodings.rows import Rows, broadcast
from sif.operations.base import Node, Operation
from sif.operations.tables import FoldedSide

__all__ = ["Concat"]


class Concat(Operation):
    """[u; v], of twice the size. It is f(user) + g(item) under every predictor but an MLP."""

    name, formula, width = "concat", "[{0}; {1}]", 2
    negates = ()

    def forward(self, *vectors: Tensor) -> Tensor:
        """Return [u; v]."""
        leads = [vector[..., 0] for vector in vectors]
        if any(lead.shape != leads[0].shape for lead in leads):
            shape = sum(leads[1:], leads[0]).shape
            vectors = tuple(vector.expand(*shape, vector.shape[-1]) for vector in vectors)
        return torch.cat(vectors, dim=-1)

    def canonical(self, predictor: str, *, networks: bool) -> tuple[str, str] | None:
        """Return `plus` for the sum of all entries; without networks each half's weights go into its side's tables."""
        if predictor == "cosine":
            return "plus", predictor
        return ("plus", "sum") if predictor == "sum" or (predictor == "linear" and not networks) else None

    def halves(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the halves of the weights."""
        first, second = weight.chunk(2, dim=-1)
        return first, second

    def distance(self, u: Rows, v: Rows, width: int) -> Tensor:
        """Return -||u||^2 - ||v||^2."""
        return broadcast(u.norms(), v.norms(), width)

    def fold_distance(self, mode: int, x: Tensor) -> FoldedSide:
        """Fold to biases."""
        return FoldedSide.of(-x.square().sum(1))

    def onnx(self, node: Node, user: str, item: str) -> str:
        """Set the user beside every item."""
        return node("Concat", node("Expand", user, node("Shape", item)), item, axis=1)

"""The difference u - v."""

import torch
from torch import Tensor

from sif.encodings.rows import Rows, broadcast
from sif.operations.plus import Plus

__all__ = ["Minus"]


class Minus(Plus):
    """u - v: `plus` with the item's vector turned round."""

    name, formula = "minus", "({0} - {1})"
    forward, onnx_kind = staticmethod(torch.sub), "Sub"
    negates, twice = (1,), 2.0

    def canonical(self, predictor: str, *, networks: bool) -> tuple[str, str]:
        """Return `plus`, which it is with the item's tables (or the outer layer of its network) negated."""
        return "plus", predictor

    def weighted(self, u: Rows, v: Rows, width: int, weight: Tensor | None = None) -> Tensor:
        """Return w . u - w . v, the sign put to the scores."""
        weight = self._ones(u.values) if weight is None else weight
        of_items = v.values @ weight
        return broadcast(Rows(u.values @ weight, u.index), Rows(-of_items, v.index), width)

    def halves(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights, the item's turned round."""
        return weight, -weight

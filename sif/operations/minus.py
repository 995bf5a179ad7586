"""The difference u - v."""

from __future__ import annotations

import torch
from torch import Tensor

from sif.operations.base import Node
from sif.operations.plus import Plus

__all__ = ["Minus"]


class Minus(Plus):
    """u - v: `plus` with the item's vector turned round."""

    name, formula = "minus", "({0} - {1})"
    twice = 2.0

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """Return u - v."""
        return torch.sub(u, v)

    def gradient(self, grad: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient, and minus the gradient."""
        of_u, of_v = super().gradient(grad, u, v)
        return of_u, -of_v

    def canonical(self, predictor: str, *, networks: bool) -> tuple[str, str]:
        """It is `plus` with the item's tables (or the outer layer of its network) negated, under every predictor."""
        return "plus", predictor

    def halves(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The item's weights are turned round."""
        return weight, -weight

    def onnx(self, node: Node, user: str, item: str) -> str:
        """Subtract."""
        return node("Sub", user, item)

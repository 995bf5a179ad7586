"""Scores of all items for a block of users, with everything that can be done once done once."""

from __future__ import annotations

import torch
from torch import Tensor

from nasp_core.spaces.interaction import InteractionNetwork

__all__ = ["Folded"]

_BLOCK = 1 << 22  # entries of the largest temporary: 16 MiB of float32


class Folded:
    """An interaction function with its element-wise networks applied to the embedding tables, once.

    `multiply` becomes an inner product with the predictor absorbed; `plus`, `minus` and `concat` two vectors and a
    sum; `max` and `min` keep a blocked pass that never holds users x items x dim.
    """

    def __init__(self, network: InteractionNetwork) -> None:
        """Fold a network of two modes; it is read once and not kept."""
        with torch.no_grad():
            self.n_users, self.n_items = network.sizes
            self.operation = network.operation
            self.weight = network.predictor.weight.detach().clone()
            rows = network.embedding.detach()
            self.users = self._lift(network, rows[: self.n_users], 0)
            self.items = self._lift(network, rows[self.n_users :], 1)
            bias = rows.new_zeros(len(rows)) if network.bias is None else network.bias.detach().squeeze(-1).clone()
            self.offset = rows.new_zeros(()) if network.offset is None else network.offset.detach().clone()
            self.user_bias, self.item_bias = bias[: self.n_users], bias[self.n_users :]

    @staticmethod
    def _lift(network: InteractionNetwork, rows: Tensor, mode: int) -> Tensor:
        if network.elementwise is None:
            return rows.clone()
        stacked = rows.unsqueeze(0).expand(len(network.sizes), *rows.shape)
        lifted: Tensor = network.elementwise(stacked)[mode].clone()
        return lifted

    @property
    def additive(self) -> bool:
        """Whether the score is f(user) + g(item), which ranks the items alike for every user."""
        return self.operation in ("plus", "minus", "concat")

    def scores(self, users: Tensor, items: Tensor | None = None) -> Tensor:
        """Return scores float32 `[len(users), n_items]` (or of the given items), in standard units."""
        bias = self.user_bias[users] + self.offset
        return self.scores_of(self.users[users], bias, items)

    @torch.no_grad()
    def scores_of(self, vectors: Tensor, bias: Tensor, items: Tensor | None = None) -> Tensor:
        """Return the scores of users given by lifted vectors `[n, dim]` and biases `[n]`."""
        targets = self.items if items is None else self.items[items]
        item_bias = self.item_bias if items is None else self.item_bias[items]
        return self._joined(vectors, targets) + bias.unsqueeze(1) + item_bias

    def _joined(self, vectors: Tensor, targets: Tensor) -> Tensor:
        weight = self.weight
        if self.operation == "multiply":
            return (vectors * weight) @ targets.T
        if self.operation == "concat":
            dim = vectors.shape[1]
            return (vectors @ weight[:dim]).unsqueeze(1) + targets @ weight[dim:]
        if self.additive:
            sign = 1.0 if self.operation == "plus" else -1.0
            return (vectors @ weight).unsqueeze(1) + sign * (targets @ weight)
        join = torch.maximum if self.operation == "max" else torch.minimum
        out = vectors.new_zeros(len(vectors), len(targets))
        step = max(1, _BLOCK // max(1, len(vectors) * vectors.shape[1]))
        for start in range(0, len(targets), step):
            block = targets[start : start + step]
            out[:, start : start + step] = join(vectors.unsqueeze(1), block) @ weight
        return out

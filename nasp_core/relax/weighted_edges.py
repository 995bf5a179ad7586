"""A softmax over candidates, and one over what enters a node: PC-DARTS' edge normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nasp_core.domain.topology import INPUTS, edge_weights
from nasp_core.network import Space
from nasp_core.relax.softmax import Softmax
from nasp_core.types import Alpha, State

__all__ = ["WeightedEdges"]


@dataclass(frozen=True)
class WeightedEdges(Softmax):
    """Softmax weights times the softmax of their edge among those that enter its node (Xu et al. 2020, section 3.3).

    Where a space has no nodes that edges enter, this is a softmax.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"slope", "smooth", "temperature", "shares", "weighs edges"})
    needs: ClassVar[dict[str, str]] = {"edges": "edges need logits of their own; use domain = EdgeLogits"}

    def shares(self, alpha: Alpha, space: Space, state: State) -> dict[str, Tensor]:
        """Return the weights, with alpha's graph; those into a node sum to 1."""
        weights = super().shares(alpha, space, state)
        for name, nodes in space.node_inputs().items():
            table = weights[name]
            edges = edge_weights(alpha[f"{name}/{INPUTS}"], nodes, 1, 1.0, table.shape[0])
            weights[name] = table * edges.unsqueeze(1)
        return weights

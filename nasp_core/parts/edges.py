"""Logits of the candidates, and beside them logits of what enters each node."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts.logits import Logits
from nasp_core.types import Alpha

__all__ = ["INPUTS", "EdgeLogits", "edge_weights", "subsets"]

INPUTS = "inputs"


def subsets(nodes: tuple[tuple[int, ...], ...], size: int) -> list[list[tuple[int, ...]]]:
    """Return per node the sets of `size` of its edges (all of them where it has fewer)."""
    return [list(itertools.combinations(edges, min(size, len(edges)))) for edges in nodes]


def edge_weights(
    logits: Tensor, nodes: tuple[tuple[int, ...], ...], size: int, temperature: float, choices: int
) -> Tensor:
    """Return each edge's weight `[choices]`: the sum, over the sets that contain it, of their softmax in their node.

    Shapes: `logits` `[sets of all nodes, 1]`. The weights into a node sum to the size of its sets.
    """
    total = torch.zeros(choices, dtype=logits.dtype, device=logits.device)
    start = 0
    for sets in subsets(nodes, size):
        shares = torch.softmax(logits[start : start + len(sets), 0] / temperature, 0)
        start += len(sets)
        places = torch.tensor(sets, device=logits.device)
        total = total.index_add(0, places.flatten(), shares.repeat_interleave(places.shape[1]))
    return total


@dataclass(frozen=True)
class EdgeLogits(Logits):
    """Logits of the candidates, and one more for each edge into a node (Xu et al. 2020, PC-DARTS, section 3.3).

    Where a space has no nodes that edges enter, there are the logits alone. Candidates are compared by their softmax
    times that of their edge.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"logits", "edges"})
    needs: ClassVar[dict[str, str]] = {
        "weighs edges": "nothing would learn the edges' logits; use relax = WeightedEdges"
    }

    def size_on(self, space: Space) -> int:
        """Return the size of the sets on a space."""
        return 1

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return small random logits of candidates `[choices, candidates]` and of sets `[sets, 1]`."""
        alpha = super().init(space, generator, device)
        for name, nodes in space.node_inputs().items():
            count = sum(map(len, subsets(nodes, self.size_on(space))))
            drawn = self.noise * torch.randn((count, 1), generator=generator)
            alpha[f"{name}/{INPUTS}"] = drawn.to(device).requires_grad_()
        return alpha

    def scores(self, alpha: dict[str, Tensor], space: Space) -> dict[str, Tensor]:
        """Return softmax(alpha) times the softmax of the candidate's edge."""
        plain = super().scores(alpha, space)
        for name, nodes in space.node_inputs().items():
            table = plain[name]
            edges = edge_weights(alpha[f"{name}/{INPUTS}"], nodes, 1, 1.0, table.shape[0])
            plain[name] = table * edges.unsqueeze(1)
        return plain

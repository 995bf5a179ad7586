"""DOTS' two stages: candidates in two groups, then pairs of edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.domain.topology import INPUTS, edge_weights
from nasp_core.network import Space
from nasp_core.relax.alive import masked, temperature_of
from nasp_core.relax.softmax import Softmax
from nasp_core.types import Alpha, State

__all__ = ["PAIRED", "Grouped", "with_parameters"]

PAIRED = "paired"


def with_parameters(space: Space) -> dict[str, Tensor]:
    """Return per group which candidates have parameters, bool `[choices, candidates]`: none where size is all alike."""
    plain = {group.name: torch.zeros(group.shape, dtype=torch.bool) for group in space.groups}
    return plain | {name: share > 0 for name, share in space.burden().items()}


@dataclass(frozen=True)
class Grouped(Softmax):
    """A softmax within the candidates that have parameters and one within those that have none, of equal weight.

    In the second stage (`BestOfEach`) one of each is left; the two share a softmax, and edges are weighted by the sets
    that contain them, at the falling temperature (Gu et al. 2021, arXiv:2010.00969, sections 3.2 and 3.3). Where
    candidates do not differ in parameters there is one group, and where no edges enter nodes no second softmax.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"slope", "smooth", "temperature", "shares", "stages", "weighs pairs"})
    needs: ClassVar[dict[str, str]] = {"pairs": "sets of edges need logits of their own; use domain = PairLogits"}

    def shares(self, alpha: Alpha, space: Space, state: State) -> dict[str, Tensor]:
        """Return the weights of the present stage, with alpha's graph."""
        temperature, weights = temperature_of(state, self.temperature), dict[str, Tensor]()
        parameters = with_parameters(space)
        for name, logits in masked(alpha, state).items():
            if state.get(PAIRED):
                weights[name] = torch.softmax(logits / self.temperature, -1)
                continue
            big = parameters[name].to(logits.device)
            parts, present = torch.zeros_like(logits), torch.zeros_like(logits[:, :1])
            for members in (big, ~big):
                inside = logits.masked_fill(~members, -torch.inf)
                there = inside.amax(-1, keepdim=True) > -torch.inf
                safe = torch.where(there, inside, torch.zeros_like(inside))
                parts = parts + torch.softmax(safe / self.temperature, -1) * there
                present = present + there
            weights[name] = parts / present
        if state.get(PAIRED):
            for name, nodes in space.node_inputs().items():
                table = weights[name]
                size = space.keeps or 1
                edges = edge_weights(alpha[f"{name}/{INPUTS}"], nodes, size, temperature, table.shape[0])
                weights[name] = table * edges.unsqueeze(1)
        return weights

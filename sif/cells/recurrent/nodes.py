"""The nodes of a recurrent cell in the three ways they run: one edge each, all edges weighted, one with all gradients.

A node makes a state s from an earlier one s_j: [c, h] = (s_j * mask) W, s = s_j + sigmoid(c) * (f(h) - s_j), with W
shared by all edges into the node. Edges are numbered node by node: those into node n (from 0) are n(n+1)/2 + j for the
states j = 0..n, where state 0 is the cell's first and state n + 1 is node n's.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nasp_core.choice import probe
from sif.cells.recurrent.activations import activation

__all__ = ["Edges", "Rule", "dense", "discrete", "first_edge", "probed"]

Edges = Sequence[Sequence[tuple[str, int]]]
"""Per node its live incoming edges: activation and earlier state."""

Rule = Callable[[int, int, list[Tensor]], Tensor]
"""From a time step, a node and the states so far `[batch, hidden]` to the node's state, not yet normalised."""


def first_edge(node: int) -> int:
    """Return the number of the first edge into a node (also the number of edges of a cell of `node` nodes)."""
    return node * (node + 1) // 2


def _gates(state: Tensor, mask: Tensor | None, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return sigmoid(c) and h `[..., hidden]` of states `[..., batch, hidden]`, in their own precision."""
    masked = state if mask is None else state * mask
    c, h = torch.matmul(masked, matrix).to(state.dtype).chunk(2, dim=-1)
    return c.sigmoid(), h


def discrete(matrices: Sequence[Tensor], mask: Tensor | None, edges: Edges) -> Rule:
    """Return the rule that runs the live edges alone: one product with a matrix for each."""
    plan = [[(activation(name), source) for name, source in node if name != "none"] for node in edges]

    def rule(time: int, node: int, states: list[Tensor]) -> Tensor:
        total = None
        for function, source in plan[node]:
            assert function is not None
            gate, h = _gates(states[source], mask, matrices[node])
            out = torch.lerp(states[source], function(h), gate)
            total = out if total is None else total + out
        return torch.zeros_like(states[0]) if total is None else total

    return rule


def dense(matrices: Sequence[Tensor], mask: Tensor | None, names: Sequence[str], weights: Tensor) -> Rule:
    """Return the rule that runs all edges, weighted by `weights` `[edges, candidates]` (DARTS, eq. 2)."""
    live = [(index, activation(name)) for index, name in enumerate(names) if name != "none"]
    columns = weights[:, [index for index, _ in live]]
    per_node = torch.split(columns, [node + 1 for node in range(len(matrices))])
    shares = [rows.sum(dim=1).view(-1, 1, 1) for rows in per_node]
    parts = [[column.view(-1, 1, 1) for column in rows.unbind(1)] for rows in per_node]

    def rule(time: int, node: int, states: list[Tensor]) -> Tensor:
        stacked = torch.stack(states)
        gate, h = _gates(stacked, mask, matrices[node])
        mixed = torch.zeros_like(h)
        for (_, function), part in zip(live, parts[node], strict=True):
            assert function is not None
            mixed = mixed + part * function(h)
        # sum over f of w_f (s + c (f(h) - s)) = w s + c (sum over f of w_f f(h) - w s), w the sum of the w_f
        return torch.lerp(shares[node] * stacked, mixed, gate).sum(dim=0)

    return rule


def probed(
    matrices: Sequence[Tensor],
    mask: Tensor | None,
    edges: Edges,
    names: Sequence[str],
    weights: Tensor,
    like: Tensor,
    length: int,
) -> Rule:
    """Return the rule that runs the live edges and gives `weights` `[edges, candidates]` the gradients of all of them.

    To each node's state of each time step a zero is added; all these zeros are one tensor `[nodes, time, batch,
    hidden]` (`like`: any state `[batch, hidden]`), behind one `probe`. So the gradients are taken when back-propagation
    has reached the first time step, with all time steps in one product an edge, on states kept without a graph. The
    gradient of candidate f on the edge from state j is the sum over time of
    <gradient, s_j (1 - sigmoid(c)) + sigmoid(c) f(h)>.
    """
    alone, count = discrete(matrices, mask, edges), len(matrices)
    kept: list[list[Tensor]] = [[] for _ in range(count)]
    frozen = [matrix.detach() for matrix in matrices]

    def gradients(grad: Tensor) -> list[Tensor]:
        rows = [grad.new_zeros(0)] * first_edge(count)
        for source in range(count):
            state = torch.stack(kept[source])
            masked = state if mask is None else state * mask
            for node in range(source, count):
                gate, h = _gates(masked, None, frozen[node])
                rows[first_edge(node) + source] = _products(grad[node], state, gate, h, names, weights.dtype)
        return [torch.stack(rows)]

    zeros = like.new_zeros(count, length, *like.shape)
    taps = probe(zeros, [weights], gradients).flatten(0, 1).unbind(0)

    def rule(time: int, node: int, states: list[Tensor]) -> Tensor:
        kept[node].append(states[node].detach())
        return alone(time, node, states) + taps[node * length + time]

    return rule


def _products(grad: Tensor, state: Tensor, gate: Tensor, h: Tensor, names: Sequence[str], dtype: torch.dtype) -> Tensor:
    """Return <grad, output> of every candidate of one edge `[candidates]`; tensors `[time, batch, hidden]`."""
    through = grad * gate
    carried = ((grad - through) * state).sum(dtype=dtype)
    products = []
    for name in names:
        function = activation(name)
        product = carried.new_zeros(()) if function is None else carried + (through * function(h)).sum(dtype=dtype)
        products.append(product)
    return torch.stack(products)

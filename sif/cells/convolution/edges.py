"""The edges of a cell of convolutions in a supernet: their candidates, and what a hook may add to them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.choice import Branch, mix_sum
from nasp_core.edge import SupernetEdge
from nasp_core.types import ChoiceGroup, Mixture
from sif.cells.convolution.operations import NONE, EdgePlace, EdgeSource

__all__ = ["ConvEdge", "EdgeRow", "EdgeRows", "branches_of", "edge_rows_of", "joined"]


class EdgeRow(NamedTuple):
    """Of one choice the live candidate (-1: none), the weights and who is present, all without the candidate `none`.

    `total` is the weight of the whole edge, `none` included: a scalar, or None at a discrete point.
    """

    active: int | None
    weights: Tensor | None = None
    present: tuple[int, ...] | None = None
    total: Tensor | None = None


EdgeRows = Sequence[EdgeRow]


def edge_rows_of(mixture: Mixture, group: ChoiceGroup) -> EdgeRows:
    """Return what `mixture` says of each choice of a group whose candidates may include `none`, which drops an edge."""
    kept = [index for index, name in enumerate(group.candidates) if name != NONE]
    place = {old: new for new, old in enumerate(kept)}
    active: Sequence[int | None] = [None] * group.choices
    weights: Sequence[Tensor | None] = [None] * group.choices
    present: Sequence[tuple[int, ...] | None] = [None] * group.choices
    totals: Sequence[Tensor | None] = [None] * group.choices
    if mixture.active is not None:
        active = [place.get(index, -1) for index in mixture.active[group.name]]
    if mixture.kept is not None:
        present = [tuple(place[index] for index in row if index in place) for row in mixture.kept[group.name]]
    if mixture.weights is not None:
        table = mixture.weights[group.name]
        if mixture.active is None:
            totals = table.sum(1).unbind(0)
        if NONE in group.candidates:  # cut out by slices: a list of indices would make the host wait for the device
            none = group.candidates.index(NONE)
            table = torch.cat([table[:, :none], table[:, none + 1 :]], 1)
        weights = table.unbind(0)
    return [EdgeRow(*row) for row in zip(active, weights, present, totals, strict=True)]


class ConvEdge(SupernetEdge):
    """The candidates of one edge at a place, `none` left out; each maps a `EdgeSource` to a tensor.

    - `share`: candidates see the first 1 / share of the source's channels, the others pass by (`place` says how many
      the candidates see).
    """

    def __init__(
        self, names: Sequence[str], place: EdgePlace, candidate: Callable[[str, EdgePlace], nn.Module], share: int = 1
    ) -> None:
        kept = tuple(name for name in names if name != NONE)
        super().__init__(kept, [candidate(name, place) for name in kept])
        self.place, self.candidate, self.share = place, candidate, share

    def fresh(self, name: str) -> nn.Module:
        """Return a candidate at this edge's place, newly made."""
        return self.candidate(name, self.place)

    def narrowed(self, share: int) -> "ConvEdge":
        """Return an edge whose candidates see 1 / `share` of the channels; a smaller share where too few are even."""
        channels = self.place.channels
        share = next(s for s in range(share, 0, -1) if channels % (2 * s) == 0 or s == 1)
        return ConvEdge(self.names, replace(self.place, channels=channels // share), self.candidate, share)

    def seen(self, source: EdgeSource) -> EdgeSource:
        """Return the part of a source that the candidates see."""
        if self.share == 1:
            return source
        return EdgeSource(source.shared(f"first {self.place.channels}", lambda x: x[:, : self.place.channels]))

    def passed(self, source: EdgeSource) -> Tensor:
        """Return the channels of a source that pass by, halved in height and width where the edge does that."""

        def rest(x: Tensor) -> Tensor:
            x = x[:, self.place.channels :]
            return x if self.place.stride == 1 else functional.max_pool2d(x, 2, 2, ceil_mode=True)

        return source.shared(f"after {self.place.channels}/{self.place.stride}", rest)


def branches_of(edges: Sequence[ConvEdge], rows: Sequence[EdgeRow], sources: Sequence[EdgeSource]) -> list[Branch]:
    """Return what enters a node: each edge with its row of the mixture, and what hooks add; never nothing at all."""
    branches = []
    for edge, row, source in zip(edges, rows, sources, strict=True):
        seen = edge.seen(source)
        candidates = [partial(candidate, seen) for candidate in edge]
        branches.append(Branch(candidates, row.active, row.weights, (), row.present))
        if edge.extra is not None and row.active != -1:
            branches.append(Branch([partial(edge.extra, seen)], 0, None, ()))
    if all(b.active == -1 or (b.active is None and b.present == ()) for b in branches):
        like, stride = edges[0].seen(sources[0]).value, edges[0].place.stride
        branches.append(Branch([lambda: torch.zeros_like(like[:, :, ::stride, ::stride])], 0, None, ()))
    return branches


def joined(
    edges: Sequence[ConvEdge], rows: Sequence[EdgeRow], sources: Sequence[EdgeSource], branches: Sequence[Branch]
) -> EdgeSource:
    """Return the node: the sum of the branches, and beside it the channels that passed by, shuffled."""
    total = mix_sum(branches)
    share = edges[0].share
    if share == 1:
        return EdgeSource(total)
    rest: Tensor | None = None
    for edge, row, source in zip(edges, rows, sources, strict=True):
        if row.active != -1:
            passed = edge.passed(source) if row.total is None else edge.passed(source) * row.total
            rest = passed if rest is None else rest + passed
    batch, channels, height, width = total.shape
    if rest is None:  # every edge is dropped
        rest = total.new_zeros(batch, channels * (share - 1), height, width)
    whole = torch.cat([total, rest], 1).view(batch, share, -1, height, width)
    return EdgeSource(whole.transpose(1, 2).reshape(batch, -1, height, width))

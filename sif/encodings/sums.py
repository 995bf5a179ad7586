"""Sums of embeddings over histories, whole or with one entry left out, with their hand-written backward passes."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from nasp_core.rowwise import is_by_rows, looked_up, row_gradient
from sif.encodings.rows import Rows, cuts
from sif.encodings.sides import gather

__all__ = ["CSR", "LeaveOneOut", "bag", "leave_one", "lists_of", "lists_of_rows", "places_of_rows", "row_penalty"]
__all__ += ["scaled_bag", "sums_of", "weighted_sums"]


class CSR(NamedTuple):
    """What each row of one side knows of the other: members `[pairs]`, cut at `starts` `[rows + 1]`; and backwards.

    `values`, `ages` float `[pairs]`: of the members, where they have some (see `Histories`); and backwards.
    """

    starts: Tensor
    members: Tensor
    back_starts: Tensor
    back_members: Tensor
    values: Tensor | None = None
    back_values: Tensor | None = None
    ages: Tensor | None = None
    back_ages: Tensor | None = None


def _sums(table: Tensor, starts: Tensor, members: Tensor) -> Tensor:
    if not len(members):
        return table.new_zeros(len(starts) - 1, table.shape[1])
    return functional.embedding_bag(members, table, starts, mode="sum", include_last_offset=True)


class _Bag(torch.autograd.Function):
    """Sums of a table's rows by list; the gradient is a sum over the lists the other way round."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, lists: CSR) -> Tensor:
        ctx.lists = lists
        return _sums(table, lists.starts, lists.members)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _sums(grads[0].contiguous(), ctx.lists.back_starts, ctx.lists.back_members), None


def bag(table: Tensor, starts: Tensor, members: Tensor) -> Tensor:
    """Return float `[n, dim]`: row i is the sum of the rows `members[starts[i]:starts[i + 1]]` of `table`."""
    if is_by_rows(table):
        distinct, members = torch.unique(members, return_inverse=True)
        table = gather(table, distinct)[0]
    return sums_of(table, lists_of(starts, members, len(table)))


def scaled_bag(table: Tensor, starts: Tensor, members: Tensor, power: float) -> Tensor:
    """Return the sums of lists over a table / (how many) ** power, float `[n, dim]`; zeros where there is nothing."""
    counts = starts.diff()
    scale = torch.where(counts > 0, counts.clamp_min(1).to(table.dtype) ** -power, 0.0)
    return bag(table, starts, members) * scale.unsqueeze(-1)


def sums_of(table: Tensor, lists: CSR) -> Tensor:
    """Return float `[rows, dim]`: to each row the sum of its members' rows of `table`."""
    sums: Tensor = _Bag.apply(table, lists)  # type: ignore[no-untyped-call]
    return sums


def lists_of(starts: Tensor, members: Tensor, others: int, values: Tensor | None = None) -> CSR:
    """Return lists with their way back: which of the rows each of the `others` is in."""
    rows = torch.repeat_interleave(torch.arange(len(starts) - 1, device=starts.device), starts.diff())
    order = torch.argsort(members.to(torch.int32))
    counts = torch.bincount(members, minlength=others)
    back_starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    back_values = None if values is None else values.index_select(0, order)
    return CSR(starts, members, back_starts, rows.index_select(0, order), values, back_values)


def lists_of_rows(lists: CSR, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return starts `[n + 1]` and members of the lists of some rows."""
    starts, places = places_of_rows(lists, ids)
    return starts, lists.members.index_select(0, places)


def places_of_rows(lists: CSR, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return starts `[n + 1]` of the lists of some rows, and where in all lists their members are."""
    begins = lists.starts.index_select(0, ids)
    counts = lists.starts.index_select(0, ids + 1) - begins
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    shift = begins - starts[:-1]
    return starts, torch.arange(int(starts[-1]), device=ids.device) + torch.repeat_interleave(shift, counts)


class _WeightedBag(torch.autograd.Function):
    """Sums of a table's rows by list, each times a weight; the gradient is that of the lists the other way round."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, lists: CSR, weights: Tensor, back: Tensor) -> Tensor:
        ctx.lists, ctx.back = lists, back
        return _weighted(table, lists.starts, lists.members, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        lists, grad = ctx.lists, grads[0].contiguous()
        return _weighted(grad, lists.back_starts, lists.back_members, ctx.back), None, None, None


def _weighted(table: Tensor, starts: Tensor, members: Tensor, weights: Tensor) -> Tensor:
    if not len(members):
        return table.new_zeros(len(starts) - 1, table.shape[1])
    weights = weights.to(table.dtype)
    return functional.embedding_bag(
        members, table, starts, mode="sum", include_last_offset=True, per_sample_weights=weights
    )


def weighted_sums(table: Tensor, lists: CSR, weights: Tensor, back: Tensor) -> Tensor:
    """Return float `[rows, dim]`: to each row the sum of its members' rows of `table`, each times its weight.

    Args:
        table: Float `[others, dim]`.
        lists: Which members.
        weights: Of the members, float `[pairs]`.
        back: The same in the order of the lists backwards.
    """
    sums: Tensor = _WeightedBag.apply(table, lists, weights, back)  # type: ignore[no-untyped-call]
    return sums


class LeaveOneOut(NamedTuple):
    """Which rows leave out what: int64 `ids`, `places`, `others` `[r]`; `scale`, `drop` float `[r]`."""

    ids: Tensor
    places: Tensor
    others: Tensor
    scale: Tensor
    drop: Tensor

    def rows(self, sums: Tensor, table: Tensor, low: int, high: int) -> Tensor:
        """Return scale * sums[places] - drop * table[others] of the rows low:high."""
        rows = sums.index_select(0, self.places[low:high]).mul_(self.scale[low:high].unsqueeze(-1))
        others = table.index_select(0, self.others[low:high])
        return rows.addcmul_(others, self.drop[low:high].unsqueeze(-1), value=-1.0)


class _LeaveOne(torch.autograd.Function):
    """Rows scale * sums[places] - drop * table[others], plus base[ids] where there is a base, `[r, dim]`."""

    @staticmethod
    def forward(
        ctx: Any, sums: Tensor, table: Tensor, base: Tensor | None, left: LeaveOneOut, sparse: tuple[bool, bool]
    ) -> Tensor:
        ctx.shapes = sums.shape, table.shape, None if base is None else base.shape
        ctx.left, ctx.sparse = left, sparse
        rows = sums.new_empty(len(left.ids), sums.shape[1])
        for low, high in cuts(len(left.ids), sums):
            part = left.rows(sums, table, low, high)
            rows[low:high] = part if base is None else part.add_(base.index_select(0, left.ids[low:high]))
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        left, (grad,) = ctx.left, grads
        of_sums = grad.new_zeros(ctx.shapes[0])
        of_table, of_base = (
            None if shape is None or sparse else grad.new_zeros(shape)
            for shape, sparse in zip(ctx.shapes[1:], ctx.sparse, strict=True)
        )
        for low, high in cuts(len(left.ids), grad):
            part = grad[low:high]
            if of_base is not None:
                of_base.index_add_(0, left.ids[low:high], part)
            of_sums.index_add_(0, left.places[low:high], part * left.scale[low:high].unsqueeze(-1))
            if of_table is not None:
                of_table.index_add_(0, left.others[low:high], part * left.drop[low:high].unsqueeze(-1), alpha=-1.0)
        if of_table is None:
            of_table = row_gradient(left.others, grad * -left.drop.unsqueeze(-1), ctx.shapes[1], True)
        if of_base is None and ctx.shapes[2] is not None:
            of_base = row_gradient(left.ids, grad, ctx.shapes[2], True)
        return of_sums, of_table, of_base, None, None


def leave_one(sums: Tensor, table: Tensor, base: Tensor | None, left: LeaveOneOut) -> Tensor:
    """Return the rows of `_LeaveOne`."""
    sparse = looked_up(table, left.others), base is not None and looked_up(base, left.ids)
    rows: Tensor = _LeaveOne.apply(sums, table, base, left, sparse)  # type: ignore[no-untyped-call]
    return rows


class _RowPenalty(torch.autograd.Function):
    """sum(coefficient * ||row||^2) of rows `[t, dim]` and coefficients `[t]`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, coefficient: Tensor) -> Tensor:
        ctx.save_for_backward(rows, coefficient)
        return torch.dot(torch.linalg.vecdot(rows, rows), coefficient)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        rows, coefficient = ctx.saved_tensors
        return rows * (coefficient * (2.0 * grads[0])).unsqueeze(-1), None


def row_penalty(rows: Rows, share: Tensor) -> Tensor:
    """Return sum(share * ||row||^2), a scalar; on the table where the rows are not gathered."""
    if rows.index is not None:
        share = share.new_zeros(len(rows.values)).index_add_(0, rows.index, share)
    penalty: Tensor = _RowPenalty.apply(rows.values, share)  # type: ignore[no-untyped-call]
    return penalty

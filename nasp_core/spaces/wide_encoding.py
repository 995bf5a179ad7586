"""How a wide network encodes one side: by an id, by the embeddings of its history, or by the sum of both."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from nasp_core.spaces.sides import gather
from nasp_core.spaces.wide_rows import Rows, sums_by

__all__ = ["Ask", "Encoding", "Lists", "SideEncoder", "bag"]

_FEW = 1 << 16  # so few pairs are summed whole without a further look
_PRICE = 4  # what a pair of some rows costs, in pairs of all rows: their lists are cut out, and sorted to go back


class Lists(NamedTuple):
    """What each row of one side knows of the other: members `[pairs]`, cut at `starts` `[rows + 1]`; and backwards."""

    starts: Tensor
    members: Tensor
    back_starts: Tensor
    back_members: Tensor


class Ask(NamedTuple):
    """Rows of one side that are wanted, with what their histories leave out.

    - `ids`: int64 `[r]`.
    - `others`: int64 `[r]`, each row leaves out one entry, where `known` bool `[r]` is true (None: everywhere); or
      with `cuts` int64 `[r + 1]`, `[h]`: row i leaves out `others[cuts[i]:cuts[i + 1]]`. None: nothing is left out.
    - `share`: float `[r]`, the share of each row in the penalty; None where none is wanted.
    """

    ids: Tensor
    others: Tensor | None = None
    known: Tensor | None = None
    cuts: Tensor | None = None
    share: Tensor | None = None


def _sums(table: Tensor, starts: Tensor, members: Tensor) -> Tensor:
    if not len(members):
        return table.new_zeros(len(starts) - 1, table.shape[1])
    return functional.embedding_bag(members, table, starts, mode="sum", include_last_offset=True)


class _Bag(torch.autograd.Function):
    """Sums of a table's rows by list; the gradient is a sum over the lists the other way round."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, lists: Lists) -> Tensor:
        ctx.lists = lists
        return _sums(table, lists.starts, lists.members)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _sums(grads[0].contiguous(), ctx.lists.back_starts, ctx.lists.back_members), None


def bag(table: Tensor, starts: Tensor, members: Tensor) -> Tensor:
    """Return float `[n, dim]`: row i is the sum of the rows `members[starts[i]:starts[i + 1]]` of `table`."""
    return _bag(table, lists_of(starts, members, len(table)))


def _bag(table: Tensor, lists: Lists) -> Tensor:
    sums: Tensor = _Bag.apply(table, lists)  # type: ignore[no-untyped-call]
    return sums


def lists_of(starts: Tensor, members: Tensor, others: int) -> Lists:
    """Return lists with their way back: which of the rows each of the `others` is in."""
    rows = torch.repeat_interleave(torch.arange(len(starts) - 1, device=starts.device), starts.diff())
    order = torch.argsort(members.to(torch.int32))
    counts = torch.bincount(members, minlength=others)
    return Lists(starts, members, torch.cat([counts.new_zeros(1), counts.cumsum(0)]), rows.index_select(0, order))


def _of_rows(lists: Lists, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return starts `[n + 1]` and members of the lists of some rows."""
    counts = (lists.starts[1:] - lists.starts[:-1]).index_select(0, ids)
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    shift = lists.starts.index_select(0, ids) - starts[:-1]
    places = torch.arange(int(starts[-1]), device=ids.device) + torch.repeat_interleave(shift, counts)
    return starts, lists.members.index_select(0, places)


class _LeaveOne(torch.autograd.Function):
    """Rows scale * sums[ids] - drop * table[others] `[r, dim]`, and sum(share * ||row||^2), None without a share."""

    @staticmethod
    def forward(
        ctx: Any,
        sums: Tensor,
        ids: Tensor,
        scale: Tensor,
        table: Tensor,
        others: Tensor,
        drop: Tensor,
        share: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        rows = sums.index_select(0, ids).mul_(scale.unsqueeze(-1))
        rows.addcmul_(table.index_select(0, others), drop.unsqueeze(-1), value=-1.0)
        ctx.sizes = len(sums), len(table)
        ctx.save_for_backward(ids, scale, others, drop, share, None if share is None else rows)
        return rows, None if share is None else torch.dot(torch.linalg.vecdot(rows, rows), share)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        ids, scale, others, drop, share, rows = ctx.saved_tensors
        grad = grads[0].contiguous()
        if share is not None:
            grad = torch.addcmul(grad, rows, (share * (2.0 * grads[1])).unsqueeze(-1))
        of_sums = sums_by(ids, ctx.sizes[0], grad, None, scale)
        return of_sums, None, None, -sums_by(others, ctx.sizes[1], grad, None, drop), None, None, None


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


class SideEncoder(nn.Module):
    """The embeddings of one side in one branch: `id` `[rows, dim]`, and `history` `[others, dim]`, of the other side.

    A history is the sum of the embeddings of its entries / (how many) ** power, zero where nothing is left.
    """

    def __init__(self, rows: int, others: int, dim: int, encodings: tuple[str, ...], power: float) -> None:
        super().__init__()
        self.size, self.power = rows, power
        with_id = any(name != "history" for name in encodings)
        self.id = nn.Parameter(torch.zeros(rows, dim)) if with_id else None
        self.history = nn.Parameter(torch.zeros(others, dim)) if any(name != "id" for name in encodings) else None

    @torch.no_grad()
    def reset(self, std: float, generator: torch.Generator) -> None:
        """Draw the embeddings N(0, std^2)."""
        for parameter in self.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)

    def ids(self, ask: Ask) -> tuple[Rows, Tensor | None]:
        """Return id rows and their penalty (without l2): the whole table where more rows are asked than it has."""
        assert self.id is not None
        if len(ask.ids) < self.size:
            values, penalty = gather(self.id, ask.ids, ask.share)
            return Rows(values), None if ask.share is None else penalty
        rows = Rows(self.id, ask.ids)
        return rows, None if ask.share is None else row_penalty(rows, ask.share)

    def histories(self, ask: Ask, sums: Tensor, counts: Tensor, index: Tensor) -> tuple[Rows, Tensor | None]:
        """Return encoded histories and their penalty (without l2), from whole sums and their counts.

        Row i of the ask is `sums[index[i]]` of `counts[index[i]]` entries, less what it leaves out.
        """
        assert self.history is not None
        if ask.others is None:
            rows = Rows(sums * self.scale(counts).unsqueeze(-1), index)
            rows = rows if len(index) >= len(sums) else Rows(rows.full())
            return rows, None if ask.share is None else row_penalty(rows, ask.share)
        left = counts.index_select(0, index)
        if ask.cuts is not None:
            values = gather(sums, index)[0] - bag(self.history, ask.cuts, ask.others)
            rows = Rows(values * self.scale(left - ask.cuts.diff()).unsqueeze(-1))
            return rows, None if ask.share is None else row_penalty(rows, ask.share)
        scale = self.scale(left - (1 if ask.known is None else ask.known.to(left.dtype)))
        drop = scale if ask.known is None else scale * ask.known
        values, penalty = _LeaveOne.apply(sums, index, scale, self.history, ask.others, drop, ask.share)  # type: ignore[no-untyped-call]
        return Rows(values), penalty

    def scale(self, counts: Tensor) -> Tensor:
        """Return counts ** -power `[n]` in the table's dtype, 0 where nothing is counted."""
        assert self.history is not None
        return torch.where(counts > 0, counts.clamp_min(1).to(self.history.dtype) ** -self.power, 0.0)

    def of_members(self, encoding: str, members: Tensor, starts: Tensor) -> Tensor:
        """Return vectors `[n, dim]` of rows known by their members alone; an id part is the mean of the table."""
        parts = []
        if encoding != "history":
            assert self.id is not None
            parts.append(self.id.mean(0).expand(len(starts) - 1, -1))
        if encoding != "id":
            assert self.history is not None
            parts.append(bag(self.history, starts, members) * self.scale(starts.diff()).unsqueeze(-1))
        return sum(parts[1:], parts[0])


class Encoding:
    """One side of one branch in one forward pass: what several candidates and several asks share is made once.

    The penalties of what was made gather in `penalties`.
    """

    def __init__(self, encoder: SideEncoder, lists: Lists) -> None:
        self.encoder, self.lists, self.counts = encoder, lists, lists.starts.diff()
        self.penalties: list[Tensor] = []
        self._made: dict[tuple[str, bool], Rows] = {}
        self._asks: list[Ask] = []

    def rows(self, name: str, ask: Ask) -> Rows:
        """Return the rows of an encoding by its name."""
        parts = [self._part(kind, ask) for kind in name.split("+")]
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def full(self, name: str, ask: Ask) -> Tensor:
        """Return the same, gathered: `[r, dim]`."""
        return self.rows(name, ask).full()

    def _part(self, kind: str, ask: Ask) -> Rows:
        at = next((i for i, each in enumerate(self._asks) if each is ask), len(self._asks))
        if at == len(self._asks):
            self._asks.append(ask)
        return self._once(f"{kind} {at}", partial(self._make, kind, ask))

    def _make(self, kind: str, ask: Ask) -> Rows:
        if kind == "id":
            rows, penalty = self.encoder.ids(ask)
        else:
            rows, penalty = self.encoder.histories(ask, *self._sums(ask.ids))
        if penalty is not None:
            self.penalties.append(penalty)
        return rows

    def _sums(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return sums of whole histories, their counts, and where among them each of `ids` is.

        Of all rows, or where that is much more work of those asked about alone.
        """
        table, members = self.encoder.history, self.lists.members
        assert table is not None
        few = len(ids) < self.encoder.size and len(members) > _FEW
        if few and _PRICE * int(self.counts.index_select(0, ids).sum()) < len(members):
            distinct, index = torch.unique(ids, return_inverse=True)
            starts, members = _of_rows(self.lists, distinct)
            return bag(table, starts, members), starts.diff(), index
        return self._once("sums", lambda: Rows(_bag(table, self.lists))).values, self.counts, ids

    def _once(self, key: str, make: Callable[[], Rows]) -> Rows:
        """Make rows, or take those already made; within no_grad those made with a graph serve too, without it."""
        graph = torch.is_grad_enabled()
        if not graph and (key, True) in self._made:
            made = self._made[key, True]
            return Rows(made.values.detach(), made.index)
        if (key, graph) not in self._made:
            self._made[key, graph] = make()
        return self._made[key, graph]

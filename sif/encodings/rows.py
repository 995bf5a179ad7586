"""Vectors as rows of a table, and inner products of many pairs of them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from sif.encodings.sides import gather

__all__ = ["Rows", "block_entries", "broadcast", "cuts", "inner", "sums_by"]

_BLOCK = 1 << 18  # entries of the largest temporary on a CPU: 1 MiB of float32
_BLOCK_CUDA = 1 << 26


@dataclass(frozen=True, slots=True)
class Rows:
    """Vectors float `[r, dim]`: those of `values`, or `values[index]` not yet gathered (index int64 `[r]`)."""

    values: Tensor
    index: Tensor | None = None

    def __len__(self) -> int:
        """Return r."""
        return len(self.values) if self.index is None else len(self.index)

    def full(self) -> Tensor:
        """Return the vectors `[r, dim]`."""
        return self.values if self.index is None else gather(self.values, self.index)[0]

    def __add__(self, other: "Rows") -> "Rows":
        """Return the sums; gathered only where the two are not rows of like tables."""
        if self.index is other.index:
            return Rows(self.values + other.values, self.index)
        return Rows(self.full() + other.full())

    def repeated(self, times: int) -> "Rows":
        """Return each vector `times` times in a row: `[r * times, dim]`."""
        if times == 1:
            return self
        index = torch.arange(len(self), device=self.values.device) if self.index is None else self.index
        return Rows(self.values, index.repeat_interleave(times))

    def norms(self) -> "Rows":
        """Return -||row||^2 of each, `[r]`."""
        return Rows(-self.values.square().sum(-1), self.index)

    def cut(self, low: int, high: int) -> Tensor:
        """Return the vectors low:high, without a graph."""
        values = self.values.detach()
        return values[low:high] if self.index is None else values.index_select(0, self.index[low:high])


def cuts(count: int, table: Tensor) -> list[tuple[int, int]]:
    """Return low:high of blocks of `count` rows of a table that fit the cache."""
    step = max(1, block_entries(table) // max(1, table.shape[1]))
    return [(low, min(low + step, count)) for low in range(0, count, step)]


def block_entries(table: Tensor) -> int:
    """Return how many entries of a temporary fit the cache where `table` lies."""
    return _BLOCK_CUDA if table.is_cuda else _BLOCK


class _Inner(torch.autograd.Function):
    """Weighted inner products `[n]`; a gradient is a sum of rows by list, no product of entries is kept."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, user_index: Tensor | None, v: Tensor, item_index: Tensor | None, weight: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(u, user_index, v, item_index, weight)
        users, items = Rows(u, user_index), Rows(v, item_index)
        out = u.new_empty(len(users))
        for low, high in cuts(len(users), u):
            a, b = users.cut(low, high), items.cut(low, high)
            out[low:high] = torch.linalg.vecdot(a, b) if weight is None else (a * b) @ weight
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        u, user_index, v, item_index, weight = ctx.saved_tensors
        of_u = sums_by(user_index, len(u), v, item_index, grads[0])
        of_v = sums_by(item_index, len(v), u, user_index, grads[0])
        of_weight = None
        if weight is not None:
            of_weight = torch.linalg.vecdot(of_u, u, dim=0)
            of_u *= weight
            of_v *= weight
        return of_u, None, of_v, None, of_weight


def sums_by(index: Tensor | None, size: int, table: Tensor, members: Tensor | None, weights: Tensor) -> Tensor:
    """Return float `[size, dim]`: to row `index[p]` (None: p) the sum of `weights[p]` times row `members[p]`."""
    if index is None:
        rows, out = Rows(table, members), table.new_empty(size, table.shape[1])
        for low, high in cuts(size, table):
            torch.mul(rows.cut(low, high), weights[low:high].unsqueeze(-1), out=out[low:high])
        return out
    order, counts = torch.argsort(index.to(torch.int32)), torch.bincount(index, minlength=size)
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    members = order if members is None else members.index_select(0, order)
    return _weighted_sums(table, members, starts, weights.index_select(0, order))


def _weighted_sums(table: Tensor, members: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    if not len(members):
        return table.new_zeros(len(starts) - 1, table.shape[1])
    return functional.embedding_bag(
        members, table, starts, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


def inner(users: Rows, items: Rows, width: int, weight: Tensor | None = None) -> Tensor:
    """Return sums of u * v (* weight) over the entries, float `[n, width]` of n users with `width` items each.

    With width 0 `[n, m]` with all m items. `items` holds n * width rows, or m.
    """
    if not width:
        u = users.full()
        return (u if weight is None else u * weight) @ items.full().T
    wide = users.repeated(width)
    out: Tensor = _Inner.apply(wide.values, wide.index, items.values, items.index, weight)  # type: ignore[no-untyped-call]
    return out.view(-1, width)


def broadcast(f: Rows, g: Rows, width: int) -> Tensor:
    """Return f + g `[n, width]` or `[n, m]` of scalars as rows, gathered last."""
    first, second = (
        part.values if part.index is None else gather(part.values.unsqueeze(-1), part.index)[0].squeeze(-1)
        for part in (f, g)
    )
    return first.unsqueeze(1) + (second.view(-1, width) if width else second)

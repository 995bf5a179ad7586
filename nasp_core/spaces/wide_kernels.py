"""Scores of many pairs of vectors, block by block: what a block needs fits the cache, and nothing else is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nasp_core.spaces.sides import gather

__all__ = ["ComposedJoin", "Join", "Rows", "VectorJoin", "pair_scores"]

_BLOCK = 1 << 18  # entries of the largest temporary on a CPU: 1 MiB of float32
_BLOCK_CUDA = 1 << 26


@dataclass(frozen=True, slots=True)
class Rows:
    """Vectors float `[r, dim]`: those of `values`, or `values[index]` not yet gathered (index int64 `[r]`)."""

    values: Tensor
    index: Tensor | None = None

    def full(self) -> Tensor:
        """Return the vectors `[r, dim]`."""
        return self.values if self.index is None else gather(self.values, self.index)[0]

    def __add__(self, other: Rows) -> Rows:
        """Return the sums; gathered only where the two are not rows of like tables."""
        if self.index is other.index:
            return Rows(self.values + other.values, self.index)
        return Rows(self.full() + other.full())


class Join(Protocol):
    """Scores `[c, k]` of vectors u `[c, 1, dim]` and v `[c or 1, k, dim]` under parameters, and their slopes."""

    def score(self, u: Tensor, v: Tensor, *parameters: Tensor) -> Tensor:
        """Return the scores."""
        ...

    def slopes(self, grad: Tensor, u: Tensor, v: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of u `[c, k or 1, dim]`, of v `[c or 1, k, dim]` and of each parameter."""
        ...


_FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "plus": torch.add,
    "minus": torch.sub,
    "multiply": torch.mul,
    "max": torch.maximum,
    "min": torch.minimum,
    "hinge": lambda u, v: (u + v).relu_(),
}


@dataclass(frozen=True)
class VectorJoin:
    """w . o(u, v), or with `distance` -||o(u, v)||^2, slopes in closed form; `hinge` is relu(u + v).

    Where u = v, a maximum or minimum shares its slope evenly, as torch does.
    """

    operation: str
    distance: bool = False

    def score(self, u: Tensor, v: Tensor, *parameters: Tensor) -> Tensor:
        """Return the scores; the one parameter is w `[dim]` (none with `distance`)."""
        x = _FUNCTIONS[self.operation](u, v)
        return -torch.linalg.vecdot(x, x) if self.distance else torch.matmul(x, parameters[0])

    def slopes(self, grad: Tensor, u: Tensor, v: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of u, v and w."""
        along = grad.unsqueeze(-1)
        if self.operation == "multiply" and not self.distance:
            (w,) = parameters
            of_u = (along * v).sum(1, keepdim=True)
            return of_u * w, along * (u * w), (of_u * u).sum((0, 1))
        x = _FUNCTIONS[self.operation](u, v)
        if self.distance:
            of_x, of_w = x * (along * -2.0), ()
        else:
            of_x, of_w = along * parameters[0], (grad.reshape(-1) @ x.reshape(-1, x.shape[-1]),)  # type: ignore[assignment]
        return *self._of_sides(of_x, x, u, v), *of_w

    def _of_sides(self, grad: Tensor, x: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        if self.operation in ("plus", "minus"):
            return grad, grad if self.operation == "plus" else -grad
        if self.operation == "multiply":
            return grad * v, grad * u
        if self.operation == "hinge":
            of_both = grad * (x > 0)
            return of_both, of_both
        over = torch.heaviside(u - v if self.operation == "max" else v - u, u.new_full((), 0.5))
        of_u = grad * over
        return of_u, grad - of_u


@dataclass(frozen=True)
class ComposedJoin:
    """Any function of u, v and parameters, slopes by autograd block by block."""

    function: Callable[..., Tensor]

    def score(self, u: Tensor, v: Tensor, *parameters: Tensor) -> Tensor:
        """Return the scores."""
        return self.function(u, v, *parameters)

    def slopes(self, grad: Tensor, u: Tensor, v: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients; the block's scores are made again."""
        with torch.enable_grad():
            leaves = [tensor.detach().requires_grad_() for tensor in (u, v, *parameters)]
            return torch.autograd.grad(self.function(*leaves), leaves, grad)


class _Blocks(NamedTuple):
    """How pairs are cut: `width` own items a user, or (0) all users with all rows of `items`."""

    users: Tensor
    user_index: Tensor | None
    items: Tensor
    item_index: Tensor | None
    width: int

    def shape(self) -> tuple[int, int]:
        count = len(self.users) if self.user_index is None else len(self.user_index)
        return count, self.width or (len(self.items) if self.item_index is None else len(self.item_index))

    def steps(self) -> tuple[int, int]:
        """Return how many users and how many items go into a block."""
        block = max(1, (_BLOCK_CUDA if self.users.is_cuda else _BLOCK) // max(1, self.users.shape[1]))
        across = self.width or min(self.shape()[1], block)
        return max(1, block // max(1, across)), max(1, across)

    def user_rows(self, low: int, high: int) -> Tensor:
        return _cut(self.users, self.user_index, low, high).unsqueeze(1)

    def item_rows(self, low: int, high: int, left: int, right: int) -> Tensor:
        if not self.width:
            return _cut(self.items, self.item_index, left, right).unsqueeze(0)
        rows = _cut(self.items, self.item_index, low * self.width, high * self.width)
        return rows.view(high - low, self.width, rows.shape[1])


def _cut(table: Tensor, index: Tensor | None, low: int, high: int) -> Tensor:
    return table[low:high] if index is None else table.index_select(0, index[low:high])


def _put(total: Tensor, index: Tensor | None, low: int, high: int, grad: Tensor) -> None:
    """Add the gradient of rows low:high to that of the table."""
    if index is None:
        total[low:high] += grad
    else:
        total.index_add_(0, index[low:high], grad)


class _PairScores(torch.autograd.Function):
    """Scores `[n, k]`; the backward pass makes each block's vectors again."""

    @staticmethod
    def forward(ctx: Any, join: Join, blocks: _Blocks, users: Tensor, items: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(users, items, *parameters)
        ctx.join, ctx.user_index, ctx.item_index, ctx.width = join, blocks.user_index, blocks.item_index, blocks.width
        count, across = blocks.shape()
        down, right = blocks.steps()
        out = users.new_empty(count, across)
        for low in range(0, count, down):
            high = min(low + down, count)
            u = blocks.user_rows(low, high)
            for left in range(0, across, right):
                v = blocks.item_rows(low, high, left, min(left + right, across))
                out[low:high, left : left + right] = join.score(u, v, *parameters)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        (grad,) = grads
        users, items, *parameters = ctx.saved_tensors
        blocks = _Blocks(users, ctx.user_index, items, ctx.item_index, ctx.width)
        totals = [torch.zeros_like(tensor) for tensor in (users, items, *parameters)]
        count, across = blocks.shape()
        down, right = blocks.steps()
        dim = users.shape[1]
        for low in range(0, count, down):
            high = min(low + down, count)
            u = blocks.user_rows(low, high)
            for left in range(0, across, right):
                end = min(left + right, across)
                v = blocks.item_rows(low, high, left, end)
                of_u, of_v, *rest = ctx.join.slopes(grad[low:high, left:end], u, v, *parameters)
                _put(totals[0], blocks.user_index, low, high, of_u.sum(1) if of_u.shape[1] > 1 else of_u[:, 0])
                if ctx.width:
                    _put(totals[1], blocks.item_index, low * ctx.width, high * ctx.width, of_v.reshape(-1, dim))
                else:
                    _put(totals[1], blocks.item_index, left, end, of_v.sum(0))
                for total, part in zip(totals[2:], rest, strict=True):
                    total += part
        return None, None, *totals


def pair_scores(join: Join, users: Rows, items: Rows, width: int, *parameters: Tensor) -> Tensor:
    """Return scores float `[n, width]` of n users with `width` items each, or with width 0 `[n, m]` with all m items.

    `items` holds n * width rows, or m. Gradients reach the values of both and `parameters`; memory holds one block.
    """
    blocks = _Blocks(users.values.detach(), users.index, items.values.detach(), items.index, width)
    scores: Tensor = _PairScores.apply(join, blocks, users.values, items.values, *parameters)  # type: ignore[no-untyped-call]
    return scores

"""Scores of many pairs of vectors, block by block: what a block needs fits the cache, and nothing else is kept."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from sif.encodings.rows import Rows, block_entries

__all__ = [
    "Distance",
    "PairReader",
    "Tower",
    "Weighted",
    "extremum_gradient",
    "grid_by_distance",
    "read_pairs",
    "where_positive",
]


class Weighted:
    """x . w, for operations that `selects`; read through others it is a `Tower` of one layer.

    Gradients leave out the factor w, put in once at the end, and need no x.
    """

    weighted = True

    def score(self, x: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """Return x . w."""
        out: Tensor = torch.matmul(x, parameters[0])
        return out

    def gradients(self, grad: Tensor, x: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the gradient without its factor w."""
        return grad.unsqueeze(-1), []


class Distance:
    """-||x||^2."""

    weighted = False

    def score(self, x: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """Return -||x||^2."""
        out: Tensor = torch.linalg.vecdot(x, x)
        return -out

    def gradients(self, grad: Tensor, x: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return -2 x, times the gradient."""
        return x * (grad * -2.0).unsqueeze(-1), []


class Tower:
    """w . relu(W_n ... relu(W_1 x + b_1) ... + b_n); parameters W_1, b_1, ..., w `[1, units]`, or w alone."""

    weighted = False

    def score(self, x: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """Return the scores."""
        return torch.matmul(self._activations(x, parameters)[-1], parameters[-1].squeeze(0))

    @staticmethod
    def _activations(x: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
        made = [x]
        for weight, bias in zip(parameters[:-1:2], parameters[1::2], strict=True):
            made.append(functional.linear(made[-1], weight, bias).relu_())
        return made

    def gradients(self, grad: Tensor, x: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return the gradients, layer by layer from the last."""
        *layers, last = parameters
        made = [each.view(-1, each.shape[-1]) for each in self._activations(x, parameters)]
        flat = grad.reshape(-1)
        found = [(flat @ made[-1]).unsqueeze(0)]
        along = torch.outer(flat, last.squeeze(0))
        for at in reversed(range(len(layers) // 2)):
            along = where_positive(made[at + 1], along)
            found = [along.T @ made[at], along.sum(0), *found]
            along = along @ layers[2 * at]
        return along.view(x.shape), found


PairReader = Weighted | Distance | Tower
"""Makes a score of x float `[..., dim]` under parameters (`score`), and gives its gradients (`gradients`)."""


def where_positive(x: Tensor, grad: Tensor) -> Tensor:
    """Return grad where x > 0, else 0; torch.where takes ten times as long on a CPU."""
    out: Tensor = torch.ops.aten.threshold_backward.default(grad, x, 0)
    return out


def extremum_gradient(sign: float, grad: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of u and v from that of a maximum (sign 1) or minimum; where u = v, it is the item's."""
    above = u - v if sign > 0 else v - u
    of_u = where_positive(above, grad.expand_as(above))
    return of_u, grad - of_u


class _Pairs(NamedTuple):
    """Rows of two sides to be paired one with one, or (`grid`) all users with all items."""

    users: Rows
    items: Rows
    grid: bool

    def blocks(self) -> list[tuple[int, int, int, int]]:
        """Return the blocks: users low:high with items left:right, which are the same where paired one with one."""
        block = max(1, block_entries(self.users.values) // max(1, self.users.values.shape[1]))
        count, across = len(self.users), len(self.items)
        if not self.grid:
            ends = [(low, min(low + block, count)) for low in range(0, count, block)]
            return [(*end, *end) for end in ends]
        right = max(1, min(across, block, 512))
        down = max(1, block // right)
        return [
            (low, min(low + down, count), left, min(left + right, across))
            for low in range(0, count, down)
            for left in range(0, across, right)
        ]

    def rows(self, low: int, high: int, left: int, right: int) -> tuple[Tensor, Tensor]:
        """Return the vectors of a block, which broadcast against each other."""
        u, v = self.users.cut(low, high), self.items.cut(left, right)
        return (u.unsqueeze(1), v.unsqueeze(0)) if self.grid else (u, v)

    def of(self, scores: Tensor, low: int, high: int, left: int, right: int) -> Tensor:
        """Return a block's part of all scores."""
        return scores[low:high, left:right] if self.grid else scores[low:high]


class _ReadPairs(torch.autograd.Function):
    """Scores `[n]`, or `[n, m]` of a grid; the backward pass makes each block's vectors again."""

    @staticmethod
    def forward(
        ctx: Any,
        operation: Any,
        reader: PairReader,
        pairs: _Pairs,
        u: Tensor,
        v: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(u, v, *parameters)
        ctx.operation, ctx.reader = operation, reader
        ctx.indices, ctx.grid = (pairs.users.index, pairs.items.index), pairs.grid
        out = u.new_empty(len(pairs.users), len(pairs.items)) if pairs.grid else u.new_empty(len(pairs.users))
        for block in pairs.blocks():
            pairs.of(out, *block).copy_(reader.score(operation.forward(*pairs.rows(*block)), parameters))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        u, v, *parameters = ctx.saved_tensors
        users, items = ctx.indices
        pairs = _Pairs(Rows(u, users), Rows(v, items), ctx.grid)
        of_u, of_v = torch.zeros_like(u), torch.zeros_like(v)
        totals = [] if ctx.reader.weighted else [torch.zeros_like(parameter) for parameter in parameters]
        for block in pairs.blocks():
            a, b = pairs.rows(*block)
            x = a if ctx.reader.weighted else ctx.operation.forward(a, b)
            of_x, rest = ctx.reader.gradients(pairs.of(grads[0], *block), x, parameters)
            first, second = ctx.operation.gradient(of_x, a, b)
            _put(of_u, users, block[0], block[1], first.sum(1) if ctx.grid else first)
            _put(of_v, items, block[2], block[3], second.sum(0) if ctx.grid else second)
            for total, part in zip(totals, rest, strict=True):
                total += part
        if ctx.reader.weighted:  # by Euler's rule for what `selects` the gradient of w is read off the tables
            totals = [torch.linalg.vecdot(of_u, u, dim=0) + torch.linalg.vecdot(of_v, v, dim=0)]
            of_u *= parameters[0]
            of_v *= parameters[0]
        return None, None, None, of_u, of_v, *totals


def _put(total: Tensor, index: Tensor | None, low: int, high: int, grad: Tensor) -> None:
    """Add the gradient of rows low:high to that of the table."""
    if index is None:
        total[low:high] += grad
    else:
        total.index_add_(0, index[low:high], grad)


def grid_by_distance(sign: float, u: Tensor, v: Tensor, weight: Tensor) -> Tensor:
    """Return w . max(u, v) `[n, m]` of all pairs, with sign -1 of w . min(u, v), by way of Manhattan distances.

    max(u, v) = (u + v + |u - v|) / 2, and the sum of w |u - v| is the distance between w u and w v where w > 0, less
    that where it is not; min has the opposite sign. (The gradient of an entry of w that
    is 0 lacks |u - v| / 2.)
    """
    a, b = u * weight, v * weight
    total = a.sum(1).unsqueeze(1) + b.sum(1)
    for chosen, factor in ((weight > 0, sign), (weight <= 0, -sign)):
        columns = chosen.nonzero().squeeze(1)
        if len(columns):
            apart = torch.cdist(a.index_select(1, columns), b.index_select(1, columns), p=1.0)
            total = torch.add(total, apart, alpha=factor)
    return total * 0.5


def read_pairs(
    operation: Any,
    reader: PairReader,
    users: Rows,
    items: Rows,
    width: int,
    parameters: Sequence[Tensor] = (),
) -> Tensor:
    """Return reader(operation(u, v)) float `[n, width]`, or with width 0 `[n, m]` of all n users with all m items.

    `operation` has `forward`, `gradient` and `selects` (see `Operation`). `items` holds n * width rows, or m. Gradients
    reach the values of both and `parameters`; memory holds one block.
    """
    if reader.weighted and not operation.selects:
        reader, parameters = Tower(), [parameters[0].unsqueeze(0)]
    wide = users.repeated(width) if width else users
    pairs = _Pairs(Rows(wide.values.detach(), wide.index), Rows(items.values.detach(), items.index), not width)
    out: Tensor = _ReadPairs.apply(operation, reader, pairs, wide.values, items.values, *parameters)  # type: ignore[no-untyped-call]
    return out.view(-1, width) if width else out

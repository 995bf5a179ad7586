"""Scores of all items for a block of users, with everything that can be done once done once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from sif.encodings.side import SIDES
from sif.encodings.side import Side as Of
from sif.operations import additive, operation
from sif.operations.hinge import HINGE
from sif.operations.tables import FoldedSide, MlpFactor, Tables, score_tables
from sif.serve.topk import Ranked, top_k_of
from sif.spaces.known import FunctionNetwork

__all__ = ["Folded", "fold", "fold_side"]

_BLOCK = 1 << 20  # entries of the largest temporary of an MLP: 4 MiB of float32
_JOINED = {"relu": "sums", "multiply": "products", "max": "maxima", "min": "minima"}
_READ = ("a squared norm", "a weighted sum")


class Folded:
    """An interaction function as tables for inner products and distances: encodings and networks are applied once.

    `multiply` (with `sum`, `linear` or `distance`) and the `distance` of `plus` and `minus` become an inner product;
    `plus`, `minus` and `concat` a bias a side; `max`, `min` and an MLP of one hidden layer on `plus`, `minus` or
    `concat` L1 distances. Other MLPs, and operations without a rule, keep a blocked pass; nothing holds users x items x
    dim.
    """

    def __init__(self, source: Any) -> None:
        """Fold a network of users and items, or take the `Tables` of a fold."""
        self.tables = source if isinstance(source, Tables) else fold(source)
        self.n_users, self.n_items = len(self.tables.users), len(self.tables.items)

    @property
    def additive(self) -> bool:
        """Whether the score is f(user) + g(item), which ranks the items alike for every user."""
        side = self.tables.items
        reads = [
            (factor.join, ("distance", "linear", "mlp")[min(2, len(factor.layers))]) for factor in self.tables.mlps
        ]
        sums = all(join != HINGE.name and additive(join, read) for join, read in reads)
        return sums and not any(t.shape[1] for t in (side.product, side.l1_plus, side.l1_minus))

    def describe(self) -> str:
        """Return in words what the function folded to: `an inner product of 64 dimensions, biases`."""
        side = self.tables.items
        parts = [f"an inner product of {side.product.shape[1]} dimensions"] if side.product.shape[1] else []
        distance = side.l1_plus.shape[1] + side.l1_minus.shape[1]
        parts += [f"L1 distances in {distance} dimensions"] if distance else []
        for factor, table in zip(self.tables.mlps, side.mlps, strict=True):
            read = _READ[len(factor.layers)] if len(factor.layers) < 2 else "an MLP"
            parts.append(f"{read} on {_JOINED.get(factor.join, factor.join)} of {table.shape[1]} dimensions")
        parts += ["biases"] if side.bias.any() or self.tables.users.bias.any() else []
        return ", ".join(parts) or "zero"

    def inner_product(self) -> tuple[Tensor, Tensor] | None:
        """Return user and item factors float32 `[users, d]`, `[items, d]` whose inner products are the scores.

        Biases are dimensions of their own, one a side where any is not 0. None where the function is no inner product.
        """
        users, items = self.tables.users, self.tables.items
        if self.tables.mlps or users.l1_plus.shape[1] or users.l1_minus.shape[1]:
            return None
        left, right = [users.product], [items.product]
        for bias, own, other in ((users.bias, left, right), (items.bias, right, left)):
            if bias.any():
                own.append(bias.unsqueeze(1))
                other.append(bias.new_ones(self.n_items if own is left else self.n_users, 1))
        return torch.cat(left, 1), torch.cat(right, 1)

    def scores(self, users: Tensor, items: Tensor | None = None) -> Tensor:
        """Return scores float32 `[users, items]`.

        Args:
            users: Their numbers, int64 `[users]`.
            items: Numbers int64 `[items]`; None: all.
        """
        return self.scores_of(self.tables.users.rows(users), items)

    @torch.no_grad()
    def scores_of(self, users: FoldedSide, items: Tensor | None = None) -> Tensor:
        """Return scores float32 `[users, items]` of users given by their tables, such as new ones.

        Args:
            users: What `fold_side` or `solve_users` returned.
            items: Numbers int64 `[items]`; None: all.
        """
        return self._scores(users, self.tables.items if items is None else self.tables.items.rows(items))

    @torch.no_grad()
    def top_k(
        self,
        users: Tensor | FoldedSide,
        n: int,
        *,
        items: NDArray[np.int64] | None = None,
        seen: sparse.csr_array | None = None,
        excluded: NDArray[np.int64] | None = None,
    ) -> Ranked:
        """Return ids int32 and scores float32 `[users, n]` of the best items, best first (see `topk.top_k`).

        Scores are made a block of users at a time.

        Args:
            users: Their numbers int64 `[users]`, or their tables.
            n: How many items.
            items: Rank only these, int64 `[items]` ascending.
            seen: CSR `[users, n_items]`, whose entries are left out.
            excluded: Items left out for all, int64 `[m]`.
        """
        asked = users if isinstance(users, FoldedSide) else self.tables.users.rows(users)
        targets = self.tables.items if items is None else self.tables.items.rows(torch.from_numpy(items))

        def block(rows: slice) -> Tensor:
            return self._scores(asked.rows(rows), targets)

        return top_k_of(block, len(asked), len(targets), n, within=items, seen=seen, excluded=excluded)

    def _scores(self, users: FoldedSide, items: FoldedSide) -> Tensor:
        out = score_tables(users, items)
        for factor, left, right in zip(self.tables.mlps, users.mlps, items.mlps, strict=True):
            _add(out, factor, left, right)
        return out


def _add(out: Tensor, factor: MlpFactor, users: Tensor, items: Tensor) -> None:
    """Add the scores of joined vectors to `out` `[users, items]`, a block of both at a time."""
    width = max([2 * users.shape[1], *(max(weight.shape) for weight, _ in factor.layers)])
    across = max(1, min(len(items), _BLOCK // width))
    down = max(1, _BLOCK // (width * across))
    for top in range(0, len(users), down):
        for left in range(0, len(items), across):
            block = slice(top, top + down), slice(left, left + across)
            out[block] += _grid(factor, users[block[0]], items[block[1]])


def _grid(factor: MlpFactor, users: Tensor, items: Tensor) -> Tensor:
    """Return scores `[users, items]`; the users of a product go into the first layer's weights."""
    if factor.layers and factor.join == "multiply":
        (weight, bias), *rest = factor.layers
        weights = (users.unsqueeze(1) * weight).flatten(0, 1)  # [users * out, dim]
        hidden = (items @ weights.T).view(len(items), len(users), len(weight)).add_(bias)
        return _after(hidden, rest).T
    joins = HINGE if factor.join == HINGE.name else operation(factor.join)
    joined = joins.forward(users.unsqueeze(1), items)
    if not factor.layers:
        return -joined.square().sum(-1)
    (weight, bias), *rest = factor.layers
    return _after(torch.nn.functional.linear(joined, weight, bias), rest)


def _after(hidden: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return `[...]` from the first layer's output `[..., out]`."""
    for weight, bias in layers:
        hidden = torch.nn.functional.linear(hidden.relu_(), weight, bias)
    return hidden.squeeze(-1)


@torch.no_grad()
def fold(network: FunctionNetwork) -> Tables:
    """Return the tables of a network of users and items; they keep no tie to it."""
    n_users, n_items = network.sizes
    of_users, of_items = network.encoded("user"), network.encoded("item")
    bias = of_users[0].new_zeros(n_users + n_items)
    if network.bias is not None and network.offset is not None:
        bias = network.bias.detach().squeeze(-1).clone()
        bias[:n_users] += network.offset
    users = fold_side(network, "user", of_users, bias[:n_users])
    items = fold_side(network, "item", of_items, bias[n_users:])
    mlps = tuple(
        branch.mlp_factor(rows.shape[1])
        for branch, rows in zip(network.branches, of_items, strict=True)
        if branch.fold(1, rows[:1].double()).mlps
    )
    return Tables(users, items, mlps)


@torch.no_grad()
def fold_side(network: FunctionNetwork, side: Of, vectors: Sequence[Tensor], bias: Tensor) -> FoldedSide:
    """Return what vectors and biases bring to a score, as users or as items.

    Args:
        network: The trained network.
        side: `user` or `item`.
        vectors: One tensor `[n, dim]` a branch.
        bias: `[n]`.
    """
    mode = SIDES.index(side)
    branches = zip(network.branches, vectors, strict=True)
    return FoldedSide.joined(
        [FoldedSide.of(bias.double()), *(branch.fold(mode, rows.double()) for branch, rows in branches)]
    ).float()

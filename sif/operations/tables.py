"""What a folded function is: tables of numbers for each side, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

__all__ = ["Deep", "Side", "Tables", "extremum", "score_tables"]


@dataclass(frozen=True)
class Side:
    """What one side, n users or n items, brings to a score; all float32.

    The score of user u and item i is u.bias + i.bias + <u.product, i.product> + ||u.apart - i.apart||_1
    - ||u.near - i.near||_1 + sum over t of MLP_t(u.deep[t], i.deep[t]).
    Shapes: `bias` `[n]`, the others `[n, columns]`, where `columns` may be 0.
    """

    bias: Tensor
    product: Tensor
    apart: Tensor
    near: Tensor
    deep: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.bias)

    def rows(self, ids: Tensor | slice) -> Side:
        """Return the rows `ids`, int64 or a slice."""
        deep = tuple(table[ids] for table in self.deep)
        return Side(self.bias[ids], self.product[ids], self.apart[ids], self.near[ids], deep)

    @staticmethod
    def of(
        bias: Tensor,
        product: Tensor | None = None,
        apart: Tensor | None = None,
        near: Tensor | None = None,
        deep: tuple[Tensor, ...] = (),
    ) -> Side:
        """Return a side with the tables that are given; the others have no columns."""
        product, apart, near = (
            bias.new_zeros(len(bias), 0) if table is None else table for table in (product, apart, near)
        )
        return Side(bias, product, apart, near, deep)

    @staticmethod
    def joined(parts: Sequence[Side]) -> Side:
        """Return the side whose score is the sum of those of the parts."""
        tables = {name: torch.cat([getattr(part, name) for part in parts], dim=1) for name in _TABLES}
        bias = torch.stack([part.bias for part in parts]).sum(0)
        return Side.of(bias, **tables, deep=tuple(table for part in parts for table in part.deep))

    def float(self) -> Side:
        """Return the same in float32, contiguous."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        deep = tuple(table.float().contiguous() for table in plain.pop("deep"))
        return Side(**{name: table.float().contiguous() for name, table in plain.items()}, deep=deep)


_TABLES = ("product", "apart", "near")


def extremum(sign: float, weight: Tensor, x: Tensor) -> Side:
    """Return what a side's vectors `[n, dim]` bring to w . max(u, v), with sign -1 to w . min(u, v)."""
    half = x * weight / 2
    rises = (weight >= 0) == (sign > 0)  # what is left is a maximum, not a minimum
    return Side.of(half.sum(1), apart=half[:, rises], near=half[:, ~rises])


def score_tables(users: Side, items: Side) -> Tensor:
    """Return the scores `[users, items]` of all tables but the deep ones."""
    out = torch.addmm(items.bias, users.product, items.product.T)
    if users.apart.shape[1]:
        out += torch.cdist(users.apart, items.apart, p=1.0)
    if users.near.shape[1]:
        out -= torch.cdist(users.near, items.near, p=1.0)
    return out.add_(users.bias.unsqueeze(1))


@dataclass(frozen=True)
class Deep:
    """A score of two joined vectors that no table replaces.

    `join`: the operation's name, or `relu` of their sum (a first layer that was applied to either side). `layers`:
    weights `[out, in]` and biases `[out]` of the layers that follow, with a ReLU between two of them; the last has one
    output. One layer is a weighted sum; without layers the score is minus the squared norm.
    """

    join: str
    layers: tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True)
class Tables:
    """A folded function: a side each, and one `Deep` for each of their `deep` tables."""

    users: Side
    items: Side
    deep: tuple[Deep, ...] = ()

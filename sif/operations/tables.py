"""What a folded function is: tables of numbers for each side, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

__all__ = ["FoldedSide", "MlpFactor", "Tables", "extremum", "score_tables"]


@dataclass(frozen=True)
class FoldedSide:
    """What one side, n users or n items, brings to a score; all float32.

    The score of user u and item i is u.bias + i.bias + <u.product, i.product> + ||u.l1_plus - i.l1_plus||_1
    - ||u.l1_minus - i.l1_minus||_1 + sum over t of MLP_t(u.mlps[t], i.mlps[t]).
    Shapes: `bias` `[n]`, the others `[n, columns]`, where `columns` may be 0.
    """

    bias: Tensor
    product: Tensor
    l1_plus: Tensor
    l1_minus: Tensor
    mlps: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.bias)

    def rows(self, ids: Tensor | slice) -> "FoldedSide":
        """Return the rows `ids`, int64 or a slice."""
        mlps = tuple(table[ids] for table in self.mlps)
        return FoldedSide(self.bias[ids], self.product[ids], self.l1_plus[ids], self.l1_minus[ids], mlps)

    @staticmethod
    def of(
        bias: Tensor,
        product: Tensor | None = None,
        l1_plus: Tensor | None = None,
        l1_minus: Tensor | None = None,
        mlps: tuple[Tensor, ...] = (),
    ) -> "FoldedSide":
        """Return a side with the tables that are given; the others have no columns."""
        product, l1_plus, l1_minus = (
            bias.new_zeros(len(bias), 0) if table is None else table for table in (product, l1_plus, l1_minus)
        )
        return FoldedSide(bias, product, l1_plus, l1_minus, mlps)

    @staticmethod
    def joined(parts: "Sequence[FoldedSide]") -> "FoldedSide":
        """Return the side whose score is the sum of those of the parts."""
        tables = {name: torch.cat([getattr(part, name) for part in parts], dim=1) for name in _TABLES}
        bias = torch.stack([part.bias for part in parts]).sum(0)
        return FoldedSide.of(bias, **tables, mlps=tuple(table for part in parts for table in part.mlps))

    def float(self) -> "FoldedSide":
        """Return the same in float32, contiguous."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        mlps = tuple(table.float().contiguous() for table in plain.pop("mlps"))
        return FoldedSide(**{name: table.float().contiguous() for name, table in plain.items()}, mlps=mlps)


_TABLES = ("product", "l1_plus", "l1_minus")


def extremum(sign: float, weight: Tensor, x: Tensor) -> FoldedSide:
    """Return what a side's vectors `[n, dim]` bring to w . max(u, v), with sign -1 to w . min(u, v)."""
    half = x * weight / 2
    rises = (weight >= 0) == (sign > 0)  # what is left is a maximum, not a minimum
    return FoldedSide.of(half.sum(1), l1_plus=half[:, rises], l1_minus=half[:, ~rises])


def score_tables(users: FoldedSide, items: FoldedSide) -> Tensor:
    """Return the scores `[users, items]` of all tables but those of MLPs."""
    out = torch.addmm(items.bias, users.product, items.product.T)
    if users.l1_plus.shape[1]:
        out += torch.cdist(users.l1_plus, items.l1_plus, p=1.0)
    if users.l1_minus.shape[1]:
        out -= torch.cdist(users.l1_minus, items.l1_minus, p=1.0)
    return out.add_(users.bias.unsqueeze(1))


@dataclass(frozen=True)
class MlpFactor:
    """A score of two joined vectors that no table replaces.

    `join`: the operation's name, or `relu` of their sum (a first layer that was applied to either side). `layers`:
    weights `[out, in]` and biases `[out]` of the layers that follow, with a ReLU between two of them; the last has one
    output. One layer is a weighted sum; without layers the score is minus the squared norm.
    """

    join: str
    layers: tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True)
class Tables:
    """A folded function: a side each, and one `MlpFactor` for each of their `mlps` tables."""

    users: FoldedSide
    items: FoldedSide
    mlps: tuple[MlpFactor, ...] = ()

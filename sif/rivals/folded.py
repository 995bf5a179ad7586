"""Networks of rivals that fold: what their embeddings bring to tables of each side."""

import torch
from torch import Tensor

from sif.encodings.sides import SidedNetwork
from sif.operations.tables import FoldedSide, MlpFactor, Tables

__all__ = ["FoldedRival"]


class FoldedRival(SidedNetwork):
    """A network of a rival whose scores of users and items are tables; a subclass says what a side's rows bring."""

    def side(self, mode: int, rows: Tensor) -> FoldedSide:
        """Return what embeddings bring to a score, without biases: nothing.

        Args:
            mode: 0 of users, 1 of items.
            rows: Embeddings float32 `[n, dim]`.
        """
        return FoldedSide.of(rows.new_zeros(len(rows)))

    def factors(self) -> tuple[MlpFactor, ...]:
        """Return what joins the sides' `mlps`."""
        return ()

    @torch.no_grad()
    def folded(self) -> Tables:
        """Return the tables of the trained network of users and items; they keep no tie to it."""
        users, items = torch.split(self.embedding, list(self.sizes))
        left, right = (self.side(mode, rows) for mode, rows in enumerate((users, items)))
        if self.bias is not None and self.offset is not None:
            of_users, of_items = torch.split(self.bias.squeeze(-1), list(self.sizes))
            left = FoldedSide.joined([left, FoldedSide.of(of_users + self.offset)])
            right = FoldedSide.joined([right, FoldedSide.of(of_items)])
        return Tables(_apart(left), _apart(right), tuple(_copied(factor) for factor in self.factors()))


def _apart(side: FoldedSide) -> FoldedSide:
    """Return a copy, in float32, that training does not change."""
    return side.rows(torch.arange(len(side), device=side.bias.device)).float()


def _copied(factor: MlpFactor) -> MlpFactor:
    return MlpFactor(factor.join, tuple((weight.clone(), bias.clone()) for weight, bias in factor.layers))

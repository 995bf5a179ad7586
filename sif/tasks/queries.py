"""What a wide network is asked: users, the items that each of them is asked about, and items for all of them."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Queries", "places_of"]

_FEW = 16  # one of so many items is sought by bisection, else in a table of all


class Queries(NamedTuple):
    """Questions about n users; the answer is float32 `[n, k + m]`, a user's own items first.

    - `users`: int64 `[n]`.
    - `own`: int64 `[n, k]`, items that each user is asked about; k may be 0.
    - `shared`: int64 `[m]`, items that all of them are asked about; m may be 0.
    - `first`: `own[:, 0]` are training pairs, left out of what is known: for all of row r the history of its user
      lacks the item `own[r, 0]`, and the history of that item, there alone, lacks the user.
    - `hidden`: int64 `[2, h]` of (row, item), sorted by row, no entry twice, the users distinct, with k = 0: training
      pairs left out of the histories of both sides; on the side of the items those of all rows at once.

    - `odds`: float32 `[m]`, with k = 0: one over the probability that a batch asks about the item. Sums over the
      shared items that are weighed so stand for sums over all; None where all are asked about.

    Pairs that are left out must be in the histories: nobody looks them up.
    """

    users: Tensor
    own: Tensor
    shared: Tensor
    first: bool = False
    hidden: Tensor | None = None
    odds: Tensor | None = None

    @classmethod
    def catalogue(cls, users: Tensor, n_items: int) -> "Queries":
        """Return the question about every item for users int64 `[n]`, nothing left out: to evaluate and to serve."""
        nothing = users.new_empty(len(users), 0)
        return cls(users, nothing, torch.arange(n_items, dtype=users.dtype, device=users.device))

    def check(self) -> None:
        """Raise `ValueError` where the parts cannot go together."""
        if self.users.dim() != 1 or self.own.dim() != 2 or self.shared.dim() != 1 or len(self.own) != len(self.users):
            shapes = [tuple(part.shape) for part in (self.users, self.own, self.shared)]
            raise ValueError(f"users, own, shared have shapes {shapes}; they must be [n], [n, k], [m]")
        k = self.own.shape[1]
        if self.first and (k == 0 or self.hidden is not None):
            raise ValueError(f"first leaves out own[:, 0]: it needs own items (there are {k}), and no hidden pairs")
        if not k and not len(self.shared):
            raise ValueError("queries without own and without shared items ask nothing")
        if self.hidden is not None and k:
            raise ValueError(f"hidden pairs go with shared items alone, but each user has {k} item(s) of its own")


def places_of(shared: Tensor, items: Tensor, n_items: int) -> Tensor:
    """Return where in `shared` each of `items` stands, int64 `[n]`, -1 where nowhere.

    Args:
        shared: Distinct items, int64 `[m]`.
        items: Int64 `[n]`.
        n_items: How many items there are.
    """
    if len(shared) * _FEW > n_items:
        table = shared.new_full((n_items,), -1)
        table[shared] = torch.arange(len(shared), device=shared.device)
        return table.index_select(0, items)
    known, order = torch.sort(shared)
    place = torch.searchsorted(known, items).clamp_max_(len(known) - 1)
    return torch.where(known.index_select(0, place) == items, order.index_select(0, place), -1)

"""The training pairs as lists: the items of each user, and the users of each item."""

from typing import NamedTuple

import torch
from torch import Tensor

from nasp_core.errors import SpaceError

__all__ = ["Histories"]


class Histories(NamedTuple):
    """Training pairs, compressed by user and by item (CSR both ways); no pair twice.

    - `user_starts`: int64 `[users + 1]`; the items of user u are `user_items[user_starts[u]:user_starts[u + 1]]`.
    - `user_items`: int64 `[pairs]`, ascending within a user.
    - `item_starts`, `item_users`: the same by item, int64 `[items + 1]` and `[pairs]`.
    """

    user_starts: Tensor
    user_items: Tensor
    item_starts: Tensor
    item_users: Tensor

    @classmethod
    def of(cls, users: Tensor, items: Tensor, sizes: tuple[int, int]) -> "Histories":
        """Return the histories of pairs int64 `[pairs]` each, in any order; a pair that occurs twice counts once.

        Raises `SpaceError` where an id lies outside `sizes` (users, items).
        """
        for name, ids, size in zip(("user", "item"), (users, items), sizes, strict=True):
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < size:
                raise SpaceError(
                    f"{name} ids of the histories go from {int(ids.min())} to {int(ids.max())}; "
                    f"with {size} {name}s they must go from 0 to {size - 1}"
                )
        keys = torch.unique(users * sizes[1] + items)
        users, items = keys // max(sizes[1], 1), keys % max(sizes[1], 1)
        order = torch.argsort(items, stable=True)
        return cls(_starts(users, sizes[0]), items, _starts(items, sizes[1]), users[order])

    @classmethod
    def empty(cls, sizes: tuple[int, int]) -> "Histories":
        """Return histories without any pair."""
        nothing = torch.zeros(0, dtype=torch.int64)
        return cls.of(nothing, nothing, sizes)

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of users and of items."""
        return len(self.user_starts) - 1, len(self.item_starts) - 1

    def to(self, device: torch.device | str) -> "Histories":
        """Return the same on `device`."""
        return Histories(*(part.to(device) for part in self))

    def counts(self) -> Tensor:
        """Return how many pairs each user and then each item has, int64 `[users + items]`."""
        return torch.cat([self.user_starts.diff(), self.item_starts.diff()])


def _starts(ids: Tensor, size: int) -> Tensor:
    return torch.cat([ids.new_zeros(1), torch.bincount(ids, minlength=size).cumsum(0)])

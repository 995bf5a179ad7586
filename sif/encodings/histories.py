"""The training pairs as lists: the items of each user, and the users of each item."""

from collections.abc import Container
from typing import NamedTuple

import torch
from torch import Tensor

from nasp_core.errors import SpaceError
from sif.encodings.sums import CSR

__all__ = ["Histories"]


class Histories(NamedTuple):
    """Training pairs, compressed by user and by item (CSR both ways); no pair twice.

    - `user_starts`: int64 `[users + 1]`; the items of user u are `user_items[user_starts[u]:user_starts[u + 1]]`.
    - `user_items`: int64 `[pairs]`, ascending within a user.
    - `item_starts`, `item_users`: the same by item, int64 `[items + 1]` and `[pairs]`.
    - `user_values`, `item_values`: the rating of each pair in standard units, float32 `[pairs]`, in the order of the
      lists by user and by item; None where pairs have none.
    - `user_ages`, `item_ages`: days from each pair to the newest of all, float32 `[pairs]`, likewise.
    """

    user_starts: Tensor
    user_items: Tensor
    item_starts: Tensor
    item_users: Tensor
    user_values: Tensor | None = None
    item_values: Tensor | None = None
    user_ages: Tensor | None = None
    item_ages: Tensor | None = None

    @classmethod
    def of(
        cls,
        users: Tensor,
        items: Tensor,
        sizes: tuple[int, int],
        *,
        values: Tensor | None = None,
        ages: Tensor | None = None,
    ) -> "Histories":
        """Return the histories of pairs int64 `[pairs]` each, in any order; a pair that occurs twice counts once.

        Args:
            users: Of the pairs.
            items: Of the pairs.
            sizes: How many users and items there are.
            values: Of each pair, float32; one that occurs twice has the mean.
            ages: Days of each pair before the newest, float32; one that occurs twice has that of the newer.

        Raises `SpaceError` where an id lies outside `sizes` (users, items).
        """
        for name, ids, size in zip(("user", "item"), (users, items), sizes, strict=True):
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < size:
                raise SpaceError(
                    f"{name} ids of the histories go from {int(ids.min())} to {int(ids.max())}; "
                    f"with {size} {name}s they must go from 0 to {size - 1}"
                )
        keys, place = torch.unique(users * sizes[1] + items, return_inverse=True)
        users, items = keys // max(sizes[1], 1), keys % max(sizes[1], 1)
        order = torch.argsort(items, stable=True)
        rated, aged = (
            None
            if given is None
            else given.new_zeros(len(keys)).scatter_reduce(0, place, given, how, include_self=False)
            for given, how in ((values, "mean"), (ages, "amin"))
        )
        by_item = _starts(items, sizes[1]), users[order]
        values_by_item, ages_by_item = (None if each is None else each[order] for each in (rated, aged))
        return cls(_starts(users, sizes[0]), items, *by_item, rated, values_by_item, aged, ages_by_item)

    def lean(self, needs: Container[str]) -> "Histories":
        """Return the same without the values and ages that nobody needs.

        Args:
            needs: Those of the encodings that read it: `values`, `ages`.
        """
        values = (self.user_values, self.item_values) if "values" in needs else (None, None)
        ages = (self.user_ages, self.item_ages) if "ages" in needs else (None, None)
        return Histories(*self[:4], *values, *ages)

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
        more = (None if part is None else part.to(device) for part in self[4:])
        return Histories(*(part.to(device) for part in self[:4]), *more)

    def side(self, place: int) -> CSR:
        """Return the lists of users (0) or items (1), with their way back.

        Args:
            place: The side.
        """
        ours, theirs = (self[:2], self[2:4]) if place == 0 else (self[2:4], self[:2])
        values, ages = self[4:6], self[6:8]
        return CSR(*ours, *theirs, values[place], values[1 - place], ages[place], ages[1 - place])

    def counts(self) -> Tensor:
        """Return how many pairs each user and then each item has, int64 `[users + items]`."""
        return torch.cat([self.user_starts.diff(), self.item_starts.diff()])


def _starts(ids: Tensor, size: int) -> Tensor:
    return torch.cat([ids.new_zeros(1), torch.bincount(ids, minlength=size).cumsum(0)])

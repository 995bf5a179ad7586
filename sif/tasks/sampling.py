"""Pairs of a user and an item on a device: which are known, and items drawn at random that are not."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["AskedItems", "Pairs", "Sampler", "alias_table"]

_TABLE = 1 << 26  # cells of users x items up to which known pairs are marked in a table, a byte each
_BITS = 8  # of the filter for each pair, at least: of pairs that are not known it passes one in eight, at most
_BLOCK = 1 << 22  # pairs that are put into the filter at once
_FACTOR = -7046029254386353131  # 2 ** 64 / golden ratio, odd, as int64: its multiples spread over the high bits
_REDRAWS = 8  # how often a drawn item that the user knows is drawn again


class Pairs:
    """Pairs (user, item) without repeats, sorted, on a device.

    Shapes: `starts` int64 `[U + 1]`, where the pairs of each user begin; `users` and `items` int32 `[e]`; `weights`
    float32 `[e]`, or None.
    """

    def __init__(self, matrix: Any, device: torch.device, weights: Any = None) -> None:
        """Take the stored entries of a scipy CSR `[U, I]` whose indices are sorted and without repeats."""
        self.shape: tuple[int, int] = matrix.shape
        counts = np.diff(matrix.indptr)
        self.most = int(counts.max(initial=0))  # pairs of one user, at most
        self.starts = torch.from_numpy(matrix.indptr.astype(np.int64)).to(device)
        self.items = torch.from_numpy(matrix.indices.astype(np.int32, copy=False)).to(device)
        self.users = torch.from_numpy(np.repeat(np.arange(self.shape[0], dtype=np.int32), counts)).to(device)
        self.weights = None if weights is None else torch.from_numpy(weights).to(device)
        self._marks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.items)

    def of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pairs of `users` int64 `[n]`: places in `users` and items, int64 `[h]`, sorted by both."""
        row, place = self.places(users)
        return row, self.items[place].long()

    def places(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pairs of `users` int64 `[n]`: places in `users` and in `items`, int64 `[h]`."""
        begins = self.starts[users]
        counts = self.starts[users + 1] - begins
        row = torch.arange(len(users), device=users.device).repeat_interleave(counts)
        shift = begins - (counts.cumsum(0) - counts)
        return row, torch.arange(len(row), device=users.device) + shift[row]

    def contain(self, users: Tensor, items: Tensor) -> Tensor:
        """Return bool `[n]`: whether each pair of int64 `users` and `items` `[n]` is one of these.

        A look-up in a table where users x items is small. Else `_bisect` finds them; on a CPU a bit of a filter tells
        of most pairs that they are none, and saves the search.
        """
        if self.shape[0] * self.shape[1] <= _TABLE:
            return self._table().index_select(0, users * self.shape[1] + items)
        if users.device.type != "cpu" or not len(self):
            return self._bisect(users, items)
        place = self._hash(users, items)
        bits = self._filter().index_select(0, place >> 3) >> (place & 7).to(torch.uint8)
        rows = (bits & 1).nonzero()[:, 0]
        found = torch.zeros_like(users, dtype=torch.bool)
        found[rows] = self._bisect(users[rows], items[rows])
        return found

    def _bisect(self, users: Tensor, items: Tensor) -> Tensor:
        """Bisect each user's items, all at once, in as many rounds as the most pairs of a user have binary digits."""
        low, end = self.starts[users], self.starts[users + 1]
        high, last = end, len(self) - 1
        for _ in range(self.most.bit_length()):
            middle = (low + high) >> 1
            below = (self.items[middle.clamp(max=last)] < items) & (low < high)
            low, high = torch.where(below, middle + 1, low), torch.where(below, high, middle)
        return (low < end) & (self.items[low.clamp(max=last)] == items) if len(self) else low < end

    def _hash(self, users: Tensor, items: Tensor) -> Tensor:
        size = (_BITS * len(self)).bit_length()
        return ((users * self.shape[1] + items) * _FACTOR >> (64 - size)) & ((1 << size) - 1)

    def _table(self) -> Tensor:
        """Bool `[U * I]`: whether a pair is known."""
        if self._marks is None:
            self._marks = torch.zeros(self.shape[0] * self.shape[1], dtype=torch.bool, device=self.items.device)
            self._marks[self.users.long() * self.shape[1] + self.items] = True
        return self._marks

    def _filter(self) -> Tensor:
        """A bit for each hash, in uint8: set where a pair has it."""
        if self._marks is None:
            marks = np.zeros(max(8, 1 << (_BITS * len(self)).bit_length()), bool)
            for start in range(0, len(self), _BLOCK):
                part = slice(start, start + _BLOCK)
                marks[self._hash(self.users[part].long(), self.items[part].long()).numpy()] = True
            self._marks = torch.from_numpy(np.packbits(marks, bitorder="little"))
        return self._marks


def alias_table(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return how to draw with probability proportional to weights float64 `[I]`, in constant time.

    `keep` float64 `[I]` and `other` int64 `[I]`: an item drawn uniformly is kept with probability keep[item], else
    other[item] is taken (Walker, ACM TOMS 3(3), 1977). Made without a loop, in one sweep of two running sums: what the
    light items lack of an even share is filled, in order, by what the heavy ones have above it; a heavy item that
    the last light one overdraws is filled by the next heavy one (Huebschle-Schneider and Sanders, ESA 2019).
    """
    share = weights * (len(weights) / weights.sum())
    small = share < share.max().clamp(max=1.0)  # rounding can leave the largest share below 1
    light, heavy = small.nonzero()[:, 0], (~small).nonzero()[:, 0]
    lacks, spare = (1 - share[light]).cumsum(0), (share[heavy] - 1).cumsum(0)
    begins = lacks - (1 - share[light])
    keep, other = torch.ones_like(share), torch.arange(len(share), device=share.device)
    keep[light] = share[light]
    other[light] = heavy[torch.searchsorted(spare, begins, right=True).clamp(max=len(heavy) - 1)]
    filled = torch.cat([lacks.new_zeros(1), lacks])[torch.searchsorted(begins, spare)]
    keep[heavy[:-1]] = (1 + spare - filled)[:-1].clamp(0.0, 1.0)
    other[heavy[:-1]] = heavy[1:]
    return keep, other


class Sampler:
    """Draws items with probability proportional to count ** power, where each user's known items are left out.

    `counts` int64 `[I]` are of the training part; power 0 draws uniformly, among the items without a count too, and a
    power above 0 never draws those. All is on the device of `known`.
    """

    def __init__(self, counts: Tensor, power: float, known: Pairs) -> None:
        weights = counts.double() ** power
        self.n_items, self._known = len(counts), known
        self._table = alias_table(weights) if power else None
        self.log_q = (weights / weights.sum()).log().float()
        """float32 `[I]`: the log of each item's probability."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return items int64 `[count]`, drawn independently, whoever knows them."""
        device = self.log_q.device
        items = torch.randint(0, self.n_items, (count,), generator=generator, device=device)
        if self._table is None:
            return items
        keep, other = self._table
        level = torch.rand(count, generator=generator, device=device, dtype=torch.float64)
        return torch.where(level < keep.index_select(0, items), items, other.index_select(0, items))

    def unknown(self, users: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return for each of `users` int64 `[n]` an item it does not know, int64 `[n]`, and where none was found.

        An item that is known is drawn again, 8 times at most: after that, bool `[n]` marks those still known. Of a user
        who knows the share s of the draws that is s ** 9: 4e-6 where s = 1/4, and 1 where the user knows everything.
        """
        drawn = self.draw(len(users), generator)
        known = self._known.contain(users, drawn)
        # Elsewhere than on a CPU the rows that need it would have to be waited for: all are drawn again.
        on_cpu = users.device.type == "cpu"
        rows = known.nonzero()[:, 0] if on_cpu else torch.arange(len(users), device=users.device)
        again = self.draw(len(rows) * _REDRAWS, generator)
        still = self._known.contain(users[rows].repeat_interleave(_REDRAWS), again).view(-1, _REDRAWS)
        first = still.to(torch.uint8).argmin(1, keepdim=True)
        better = again.view(-1, _REDRAWS).gather(1, first)[:, 0]
        drawn[rows] = torch.where(known[rows], better, drawn[rows])
        known[rows] &= still.gather(1, first)[:, 0]
        return drawn, known


class AskedItems:
    """Items that a batch of users is asked about in place of all: those that it wants, and some drawn uniformly.

    Each item once, and weighed by one over the probability that a batch has it (Horvitz and Thompson, JASA 47, 1952),
    so that sums over a batch's items stand for sums over the catalogue: the popular, which most batches have, weigh
    little more than 1. So in-batch negatives need no correction of their own.
    """

    def __init__(self, counts: Tensor, users: int, share: float, batch: int, drawn: int) -> None:
        """Work out the probabilities.

        Args:
            counts: Of each item's pairs in the part, int64 `[I]`.
            users: That have pairs.
            share: The probability with which a pair is wanted by its user.
            batch: Users of a batch.
            drawn: Items that are drawn for a batch, with replacement.
        """
        self._n, self._drawn = len(counts), drawn
        wanted = (counts.double() * (share / users)).clamp(max=1 - 1e-9)  # by one user of a batch
        missing = batch * torch.log1p(-wanted) + drawn * math.log1p(-1 / max(2, len(counts)))
        has = -torch.expm1(missing)
        self.expected = round(float(has.sum()))
        """How many items a batch has, on average."""
        self._log_odds = -has.log().float()

    def draw(self, wanted: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the items of a batch, int64 `[c]`, ascending, and the log of what each weighs, float32 `[c]`.

        Args:
            wanted: What the users of the batch want, int64, with repeats.
            generator: Of the drawn.
        """
        drawn = torch.randint(self._n, (self._drawn,), generator=generator, device=wanted.device)
        items = torch.unique(torch.cat([wanted, drawn]))
        return items, self._log_odds[items]

"""Batches of the ranking task: positive pairs with drawn items, and users with hidden items."""

import math
from typing import Any, Literal

import torch
from torch import Tensor

from nasp_core.stream import Passes
from nasp_core.types import Batch, derive_seed
from sif.errors import DataError
from sif.tasks.queries import Queries, places_of
from sif.tasks.ranking_losses import Marked, degree_shares
from sif.tasks.ranking_settings import RankingSettings
from sif.tasks.sampling import AskedItems, Pairs, Sampler

__all__ = ["MOST_SCORES", "PairStream", "UserStream"]

_LARGE = 1 << 13  # items from which on a batch is asked about some of them, if that is half of them at most
_DRAWN = 8  # one of so many items is drawn then (docs/benchmarks.md)
MOST_SCORES = 1 << 27
"""Scores that one batch may have, 0.5 GiB as float32; a loss needs several times this."""


def _passes(rows: int, batch_size: int, seed: int) -> Passes[Tensor]:
    """Return the passes over rows; their numbers are int32 (int64 where that is too short), on the CPU."""
    dtype = torch.int32 if rows < 2**31 else torch.int64
    return Passes(rows, batch_size, seed, lambda order, _: order, dtype=dtype)


def _rows(passes: Passes[Tensor], step: int) -> Tensor:
    order, offset = passes.at(step)
    return order[passes.part(offset)]


def _check_size(rows: int, columns: int, which: str, fix: str) -> None:
    if rows * columns > MOST_SCORES:
        most = max(1, MOST_SCORES // columns)
        raise DataError(
            f"a batch of {rows} {which} with {columns} items each has {rows * columns} scores, more than {MOST_SCORES} "
            f"(0.5 GiB)\n  Give a batch_size of {most} or less{fix}."
        )


class PairStream:
    """An endless, seekable sequence of batches of positive pairs with drawn items, reshuffled on every pass.

    Batch `i` depends on the seed and `i` alone (and on the kind of device, which draws the items). Of a batch of n:

    - `bpr`, `bce`, `ccl`: each pair has m items of its own, which its user does not know. Queries own `[n, 1 + m]`, the
      positive first; target int8 `[n, 1 + m]`: 1, then 0, or -1 where no unknown item was found (`Sampler.unknown`);
      of pairs with weights float32, the weight in place of 1.
    - `degree-bce`: the same; target float32: the weight of a positive, minus that of a drawn item, 0 in place of -1.
    - `sampled-softmax`: all have the m same items, drawn whoever knows them. Queries own `[n, 1]`, shared `[m]`; target
      `Marked`: the first column wanted, drawn items left out where they are the row's own (for validation also where
      they are in `seen` of its user), and the log-Q correction.
    """

    def __init__(
        self,
        pairs: Pairs,
        sampler: Sampler,
        settings: RankingSettings,
        batch_size: int,
        seed: int,
        *,
        seen: Pairs | None = None,
        counts: Tensor | None = None,
    ) -> None:
        """Take the positives of a part: in training, without `seen`, these are in the histories (`Queries.first`).

        `counts` int64 `[U + I]`, the training pairs of each user and item, are those of `degree-bce`.
        """
        self._counts = counts
        self._pairs, self._sampler, self._settings, self._seen = pairs, sampler, settings, seen
        self._passes, self._seed = _passes(len(pairs), batch_size, seed), seed
        self._generator = torch.Generator(pairs.items.device)
        _check_size(min(batch_size, len(pairs)), 1 + settings.negatives, "pairs", " or fewer negatives")

    def __len__(self) -> int:
        """Return the number of batches of one pass."""
        return len(self._passes)

    def batch(self, step: int) -> Batch:
        """Return batch `step`, counted from the very start."""
        rows = _rows(self._passes, step).to(self._pairs.items.device)
        users, items = (part.index_select(0, rows).long() for part in (self._pairs.users, self._pairs.items))
        generator = self._generator.manual_seed(derive_seed(self._seed, "drawn", step))
        weights = None if self._pairs.weights is None else self._pairs.weights.index_select(0, rows)
        made = self._with_shared if self._settings.loss == "sampled-softmax" else self._with_own
        return made(users, items, weights, generator)

    def _with_own(self, users: Tensor, items: Tensor, weights: Tensor | None, generator: torch.Generator) -> Batch:
        each = self._settings.negatives
        drawn, known = self._sampler.unknown(users.repeat_interleave(each) if each > 1 else users, generator)
        own = torch.cat([items.unsqueeze(1), drawn.view(-1, each)], dim=1)
        target = torch.ones(own.shape, dtype=torch.int8, device=own.device)
        target[:, 1:] = -known.view(-1, each).to(torch.int8)
        if weights is not None:
            target = torch.cat([weights.unsqueeze(1), target[:, 1:]], dim=1)
        if self._counts is not None:
            target = self._by_degree(users, own, target, self._counts)
        queries: Any = Queries(users, own, items.new_empty(0), first=self._seen is None)
        return Batch(queries, target)

    def _by_degree(self, users: Tensor, own: Tensor, target: Tensor, counts: Tensor) -> Tensor:
        """Return the target of `degree-bce` from that of `bce`."""
        of_users, of_items = counts[users].unsqueeze(1), counts[own + self._pairs.shape[0]]
        weight = 1.0 + self._settings.degree_weight * degree_shares(of_users, of_items)
        sign = torch.where(target > 0, target.float(), -(target == 0).float())
        return weight * sign

    def _with_shared(self, users: Tensor, items: Tensor, weights: Tensor | None, generator: torch.Generator) -> Batch:
        shared = self._sampler.draw(self._settings.negatives, generator)
        every = torch.arange(len(items), device=items.device)
        row, column = _found(every, items, shared)
        if self._seen is not None:
            met = _found(*self._seen.of(users), shared)
            row, column = torch.cat([row, met[0]]), torch.cat([column, met[1]])
        wanted = torch.arange(len(items) + len(row), device=items.device) < len(items)
        columns = torch.cat([torch.zeros_like(every), column + 1])
        shift = torch.cat([torch.zeros(1, device=items.device), -(self._sampler.log_q[shared] + math.log(len(shared)))])
        queries: Any = Queries(users, items.unsqueeze(1), shared, first=self._seen is None)
        weights = None if weights is None else torch.cat([weights, weights.new_zeros(len(row))])
        target: Any = Marked(torch.cat([every, row]), columns, wanted, shift, weights)
        return Batch(queries, target)


def _found(row: Tensor, item: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows and columns of all places where `shared` `[m]` holds the item of a pair (row, item), `[h]`."""
    order = torch.argsort(shared)
    known = shared[order]
    first = torch.searchsorted(known, item)
    counts = torch.searchsorted(known, item, right=True) - first
    pair = torch.arange(len(item), device=item.device).repeat_interleave(counts)
    shift = first - (counts.cumsum(0) - counts)
    return row[pair], order[torch.arange(len(pair), device=item.device) + shift[pair]]


class UserStream:
    """An endless, seekable sequence of batches of users who are asked about the whole catalogue, or `AskedItems` of it.

    Queries own `[n, 0]`, shared these items; target `Marked`. In training, without `seen`, each pair is hidden with
    probability `hidden_share` and wanted; a pair that is shown is left out, or wanted too without `hidden_only`. For
    validation nothing is hidden, all pairs are wanted, and those of `seen` are left out; no pair may be in both. Batch
    `i` depends on the seed and `i` alone.
    """

    def __init__(
        self, pairs: Pairs, settings: RankingSettings, batch_size: int, seed: int, *, seen: Pairs | None = None
    ) -> None:
        """Take the positives of a part; users without any are in no batch."""
        self._pairs, self._settings, self._seen, self._seed = pairs, settings, seen, seed
        self._users = (pairs.starts[1:] > pairs.starts[:-1]).nonzero()[:, 0]
        self._passes = _passes(len(self._users), batch_size, seed)
        self._items = torch.arange(pairs.shape[1], device=self._users.device)
        self._generator = torch.Generator(self._users.device)
        share = settings.hidden_share if seen is None and settings.hidden_only else 1.0
        self._asked = _asked(pairs, settings.drawn, share, min(batch_size, len(self._users)), len(self._users))
        fix = ', or use loss = "sampled-softmax"'
        columns = pairs.shape[1] if self._asked is None else self._asked.expected
        _check_size(min(batch_size, len(self._users)), columns, "users", fix)

    def __len__(self) -> int:
        """Return the number of batches of one pass."""
        return len(self._passes)

    def batch(self, step: int) -> Batch:
        """Return batch `step`, counted from the very start."""
        users = self._users[_rows(self._passes, step).to(self._users.device)]
        row, place = self._pairs.places(users)
        item, hidden = self._pairs.items[place].long(), None
        weights = None if self._pairs.weights is None else self._pairs.weights[place]
        if self._seen is not None:
            before = self._seen.of(users)
            wanted = torch.arange(len(row) + len(before[0]), device=row.device) < len(row)
            row, item = torch.cat([row, before[0]]), torch.cat([item, before[1]])
            weights = None if weights is None else torch.cat([weights, weights.new_zeros(len(before[0]))])
        else:
            generator = self._generator.manual_seed(derive_seed(self._seed, "hidden", step))
            wanted = torch.rand(len(row), generator=generator, device=row.device) < self._settings.hidden_share
            hidden = torch.stack([row[wanted], item[wanted]])
            wanted = wanted if self._settings.hidden_only else torch.ones_like(wanted)
        asked, shift = self._items, None
        if self._asked is not None:
            generator = self._generator.manual_seed(derive_seed(self._seed, "asked", step))
            asked, shift = self._asked.draw(item[wanted], generator)
            place = places_of(asked, item, len(self._items))
            there = place >= 0
            row, item, wanted = row[there], place[there], wanted[there]
            weights = None if weights is None else weights[there]
        odds = None if shift is None else shift.exp()
        queries: Any = Queries(users, users.new_empty(len(users), 0), asked, hidden=hidden, odds=odds)
        target: Any = Marked(row, item, wanted, shift, weights)
        return Batch(queries, target)


def _asked(pairs: Pairs, drawn: int | Literal["auto"], share: float, batch: int, users: int) -> AskedItems | None:
    """Return what batches are asked about in place of the catalogue; None where that is better."""
    n_items = pairs.shape[1]
    if drawn == 0 or not users or (drawn == "auto" and n_items < _LARGE):
        return None
    counts = torch.bincount(pairs.items, minlength=n_items)
    made = AskedItems(counts, users, share, batch, n_items // _DRAWN if drawn == "auto" else drawn)
    return None if drawn == "auto" and made.expected > n_items // 2 else made

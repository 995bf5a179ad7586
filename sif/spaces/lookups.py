"""What a wide network has to encode for a batch: rows of both sides, and what their histories leave out."""

from typing import NamedTuple

import torch
from torch import Tensor

from sif.encodings.base import Lookup
from sif.encodings.histories import Histories
from sif.tasks.queries import Queries, places_of

__all__ = ["BatchPlan", "Shares", "held", "plan_pairs", "plan_queries"]


class Shares(NamedTuple):
    """Weights of rows in the penalty, float32 `[users + items]`: of rows met with every pair, and of rows met once.

    Both are 1 on average over the rows they are met with; see `WideSettings`.
    """

    by_pair: Tensor
    by_row: Tensor
    users: int


class BatchPlan(NamedTuple):
    """Rows to encode: `users`, and blocks of items with their width (a user's own items; 0: shared by all users).

    `merged` are the blocks where nothing need be left out of an item's history.
    """

    users: Lookup
    blocks: list[tuple[Lookup, int]]
    merged: list[tuple[Lookup, int]]


def held(keys: Tensor, pairs: Tensor, n_items: int) -> Tensor:
    """Return bool `[n]`, true where a pair of `[2, n]` is among ascending keys user * n_items + item."""
    if not len(keys):
        return pairs.new_zeros(pairs.shape[1], dtype=torch.bool)
    wanted = pairs[0] * n_items + pairs[1]
    places = torch.searchsorted(keys, wanted).clamp_max_(len(keys) - 1)
    return keys.index_select(0, places) == wanted


def plan_pairs(pairs: Tensor, known: Tensor | None, shares: Shares | None) -> BatchPlan:
    """Return what pairs `[2, n]` ask for; `known` bool `[n]` says which are in the histories, and left out there."""
    users, items = pairs
    share_u, share_i = _shares(shares, users, items, pair=True)
    item = Lookup(items, users, known, share=share_i)
    return BatchPlan(Lookup(users, items, known, share=share_u), [(item, 1)], [(Lookup(items, share=share_i), 1)])


def plan_queries(queries: Queries, histories: Histories, shares: Shares | None) -> BatchPlan:
    """Return what queries ask for."""
    queries.check()
    users, own, shared, first, hidden, odds = queries
    k = own.shape[1]
    of_users, of_own = _shares(shares, users, own.reshape(-1), pair=k > 0)
    of_shared = None if k else _shares(shares, users, shared, pair=False)[1]
    if odds is not None and of_shared is not None:
        of_shared = of_shared * odds * (len(shared) / histories.sizes[1])
    wide = [(Lookup(shared, share=of_shared), 0)] * bool(len(shared))
    merged = [(Lookup(own.reshape(-1), share=of_own), k)] * bool(k) + wide
    if first:
        user = Lookup(users, own[:, 0], share=of_users)
        table = None if of_own is None else of_own.view(-1, k)
        blocks = [(Lookup(own[:, 0], users, share=None if table is None else table[:, 0]), 1)]
        share = None if table is None else table[:, 1:].reshape(-1)
        blocks += [(Lookup(own[:, 1:].reshape(-1), share=share), k - 1)] * (k > 1) + wide
        return BatchPlan(user, blocks, merged)
    if hidden is None:
        return BatchPlan(Lookup(users, share=of_users), merged, merged)
    rows, items = hidden
    user = Lookup(users, items, cuts=_cuts(rows, len(users)), share=of_users)
    lookup, _ = wide[0]
    places = places_of(shared, items, histories.sizes[1])
    order = torch.argsort(places, stable=True)
    order = order[int((places < 0).sum()) :]
    others = users.index_select(0, rows.index_select(0, order))
    left_out = lookup._replace(others=others, cuts=_cuts(places.index_select(0, order), len(shared)))
    return BatchPlan(user, [(left_out, 0)], merged)


def _shares(shares: Shares | None, users: Tensor, items: Tensor, *, pair: bool) -> tuple[Tensor | None, Tensor | None]:
    if shares is None:
        return None, None
    table = shares.by_pair if pair else shares.by_row
    of_users = table.index_select(0, users) / max(1, len(users))
    return of_users, table.index_select(0, items + shares.users) / max(1, len(items))


def _cuts(rows: Tensor, count: int) -> Tensor:
    return torch.cat([rows.new_zeros(1), torch.bincount(rows, minlength=count).cumsum(0)])

"""Ranking metrics over the full catalogue, with their exact expectation where scores are tied."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sif.errors import DataError

__all__ = ["METRICS", "rank_metrics", "rank_per_user"]

METRICS = ("ndcg", "recall", "precision", "hit_rate", "map", "mrr", "coverage")


def rank_metrics(
    scores_of: Callable[[Tensor], Tensor], seen: Any, relevant: Any, *, k: tuple[int, ...] = (10,), batch: int = 1024
) -> dict[str, float]:
    """Return how well scores rank what users have yet to meet: `ndcg@10`, `recall@10`, and so on, means over users.

    All items are ranked but the seen ones; an item both seen and relevant stays (as in RecBole), and -inf leaves an
    item out. Users without relevant items are left out. Memory is O(batch x items).

    Of a user with R relevant items, whose ranking has rel_p in {0, 1} at position p = 1..k:

    - `ndcg`: sum of rel_p / log2(p + 1) over the same sum of an ideal ranking, of min(k, R) ones.
    - `recall`, `precision`: hits in the first k over R, and over k. `hit_rate`: whether there is one.
    - `map`: sum of rel_p * precision@p, over min(k, R). `mrr`: 1 / the position of the first hit, 0 without one.
    - `coverage`: share of the catalogue that is in the first k of some user; of all users together.

    Tied items stand in random order, and every metric is its expected value over all orders, exactly. A group of n tied
    items, r of them relevant, shares the n positions that begin after the `a` items above it. At position p, with j = p
    - 1 - a group members before it and H relevant items above the group:

    - P(rel_p) = r/n, which is linear in ndcg, recall and precision.
    - P(no hit up to p) = P(no hit up to p - 1) * (1 - r / (n - j)), hypergeometric; hit_rate and mrr follow from it.
    - E[rel_p * hits up to p] = r/n * (H + 1 + j (r - 1) / (n - 1)), whose quotients by p are summed to map.
    - P(an item of the group in the first k) = min(max(k - a, 0), n) / n; an item is not covered with the product
      over users of the complements (orders of different users are independent).

    Args:
        scores_of: Takes users int64 `[B]` and gives floats `[B, items]` on any device.
        seen: scipy CSR `[users, items]`; stored entries count, whatever their value.
        relevant: As `seen`.
        k: Lengths of the rankings.
        batch: Users at once.

    Raises:
        DataError: k is below 1, shapes disagree, scores are not numbers, or nobody has a relevant item.
    """
    parts: list[dict[str, Tensor]] = []
    absent = {most: torch.zeros(relevant.shape[1], dtype=torch.float64) for most in k}
    for _, values, places in _ranked(scores_of, seen, relevant, k, batch):
        parts.append(_per_user(places, k))
        for most, logs in absent.items():
            logs += _log_absent(values, places, most).cpu()
    means = {name: float(torch.cat([part[name] for part in parts]).mean()) for name in parts[0]}
    means |= {f"coverage@{most}": float(-torch.expm1(logs).mean()) for most, logs in absent.items()}
    return {f"{name}@{most}": means[f"{name}@{most}"] for most in k for name in METRICS}


def rank_per_user(
    scores_of: Callable[[Tensor], Tensor], seen: Any, relevant: Any, *, k: tuple[int, ...] = (10,), batch: int = 1024
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Return each metric of each user, whose means `rank_metrics` gives; without coverage, which no user has alone.

    Args:
        scores_of: As in `rank_metrics`, and so are the others.
        seen: scipy CSR `[users, items]`.
        relevant: scipy CSR `[users, items]`.
        k: Lengths of the rankings.
        batch: Users at once.

    Returns:
        The users with a relevant item, int64 `[n]` ascending, and by metric float64 `[n]`.
    """
    users: list[NDArray[np.int64]] = []
    parts: list[dict[str, Tensor]] = []
    for rows, _, places in _ranked(scores_of, seen, relevant, k, batch):
        users.append(rows)
        parts.append(_per_user(places, k))
    return np.concatenate(users), {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}


def _ranked(
    scores_of: Callable[[Tensor], Tensor], seen: Any, relevant: Any, k: tuple[int, ...], batch: int
) -> "Iterator[tuple[NDArray[np.int64], Tensor, _Places]]":
    """Yield, for each batch of users with a relevant item: the users, their scores with -inf for seen items, places."""
    _check(k, batch, seen.shape, relevant.shape)
    seen, relevant = seen.tocsr(), relevant.tocsr()
    users = np.flatnonzero(np.diff(relevant.indptr)).astype(np.int64)
    if not len(users):
        raise DataError("no user has a relevant item, so there is nothing to rank for")
    for start in range(0, len(users), batch):
        rows = users[start : start + batch]
        scores = scores_of(torch.from_numpy(rows)).detach()
        if scores.shape != (len(rows), relevant.shape[1]):
            raise DataError(f"scores of shape {list(scores.shape)}; expected [{len(rows)}, {relevant.shape[1]}]")
        # A sum is a number unless a score is not, or there are infinities of both signs; it is much the faster test.
        if bool(scores.sum().isnan()) and bool(scores.isnan().any()):
            first = rows[int(scores.isnan().any(dim=1).nonzero()[0])]
            raise DataError(f"the scores of user {first} are not all numbers (nan); a ranking cannot be made of them")
        wanted, met = _entries(relevant[rows], scores.device), _entries(seen[rows], scores.device)
        values = scores.clone()
        values[met] = -torch.inf
        values[wanted] = scores[wanted]
        truth = torch.zeros(values.shape, dtype=torch.bool, device=values.device)
        truth[wanted] = True
        yield rows, values, _Places.of(values, truth, max(k))


def _check(k: tuple[int, ...], batch: int, seen: tuple[int, ...], relevant: tuple[int, ...]) -> None:
    for most in k:
        if most < 1:
            raise DataError(f"k = {most}; ask for 1 item or more")
    if not k:
        raise DataError("no k is given; ask for the metrics of 1 item or more")
    if batch < 1:
        raise DataError(f"batch = {batch}; give 1 user or more")
    if seen != relevant:
        raise DataError(f"seen has shape {list(seen)}, relevant {list(relevant)}; both are [users, items]")


def _entries(rows: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the rows and columns, int64, of the stored entries of a CSR matrix."""
    row: NDArray[np.int64] = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    return torch.from_numpy(row).to(device), torch.from_numpy(rows.indices.astype(np.int64)).to(device)


@dataclass(frozen=True, slots=True)
class _Places:
    """What the first K positions of each user's ranking hold, all `[B, K]`, by the tied group at each position.

    `value` is the group's score, `item` one item of it, each at one position, `above` how many items are above the
    group, `tied` how many are in it, `hits` how many of these are relevant; float64 but `value` and `item`. A group at
    -inf has no hits. `total` `[B]` counts relevant items.
    """

    value: Tensor
    item: Tensor
    above: Tensor
    tied: Tensor
    hits: Tensor
    total: Tensor

    @classmethod
    def of(cls, values: Tensor, truth: Tensor, most: int) -> "_Places":
        """Read the groups of scores `[B, items]` down to the K-th, the last of them counted over all items."""
        best, ids = torch.topk(values, min(most + 1, values.shape[1]), dim=1)
        following, best, ids = best[:, most:], best[:, :most], ids[:, :most]
        place = torch.arange(best.shape[1], device=best.device).expand(best.shape)
        begins = torch.ones_like(best, dtype=torch.bool)
        begins[:, 1:] = best[:, 1:] != best[:, :-1]
        group = begins.cumsum(1) - 1
        above = torch.where(begins, place, 0).cummax(1).values
        none = torch.zeros(best.shape, dtype=torch.float64, device=best.device)
        sizes = none.scatter_add(1, group, torch.ones_like(none))
        hits = none.scatter_add(1, group, truth.gather(1, ids).double())
        if following.shape[1]:
            row = (following == best[:, -1:])[:, 0].nonzero()[:, 0]  # the last group goes on beyond the K-th place
            last = values[row] == best[row, -1:]
            sizes[row, group[row, -1]] = last.sum(1).double()
            hits[row, group[row, -1]] = (last & truth[row]).sum(1).double()
        shown = hits.gather(1, group).masked_fill(best.isneginf(), 0.0)
        return cls(best, ids, above.double(), sizes.gather(1, group), shown, truth.sum(1).double())


def _per_user(at: _Places, k: tuple[int, ...]) -> dict[str, Tensor]:
    """Return the expected metrics of each user, float64 `[B]` on the CPU, under `name@k`."""
    position = torch.arange(1, at.tied.shape[1] + 1, dtype=torch.float64, device=at.tied.device)
    before = position - 1 - at.above  # members of the group at earlier positions
    chance = at.hits / at.tied
    discount = 1 / torch.log2(torch.arange(2, max(k) + 2, dtype=torch.float64, device=position.device))
    ideal = discount.cumsum(0)
    none = (1 - at.hits / (at.tied - before)).cumprod(1)  # stays 0 once a hit is certain, whatever factors follow
    earlier = torch.cat([torch.ones_like(none[:, :1]), none[:, :-1]], dim=1)
    sums = chance.cumsum(1)
    hits_above = torch.where(before == 0, sums - chance, 0.0).cummax(1).values
    pairs = chance * (hits_above + 1 + before * (at.hits - 1) / (at.tied - 1).clamp(min=1.0))
    gain, precisions = (chance * discount[: len(position)]).cumsum(1), (pairs / position).cumsum(1)
    first = ((earlier - none) / position).cumsum(1)
    out = {}
    for most in k:
        end = min(most, len(position)) - 1
        best = at.total.clamp(max=most)
        out[f"ndcg@{most}"] = gain[:, end] / ideal[best.long() - 1]
        out[f"recall@{most}"] = sums[:, end] / at.total
        out[f"precision@{most}"] = sums[:, end] / most
        out[f"hit_rate@{most}"] = 1 - none[:, end]
        out[f"map@{most}"] = precisions[:, end] / best
        out[f"mrr@{most}"] = first[:, end]
    return {name: values.cpu() for name, values in out.items()}


def _log_absent(values: Tensor, at: _Places, most: int) -> Tensor:
    """Return float64 `[items]`: the log of the probability that no user of the batch has the item in the first k."""
    end = min(most, values.shape[1]) - 1
    value, cut = at.value[:, end : end + 1], at.above[:, end] + at.tied[:, end] > end + 1
    logs = torch.zeros(values.shape[1], dtype=torch.float64, device=values.device)
    rows = (cut & ~value[:, 0].isneginf()).nonzero()[:, 0]  # where the group at the k-th place does not fit
    share = (end + 1 - at.above[rows, end]) / at.tied[rows, end]
    row, item = torch.nonzero(values[rows] == value[rows], as_tuple=True)
    logs.index_add_(0, item, torch.log1p(-share)[row])
    first = at.value[:, : end + 1]
    certain = ((first > value) | ~cut.unsqueeze(1)) & ~first.isneginf()
    logs[at.item[:, : end + 1][certain]] = -torch.inf
    return logs

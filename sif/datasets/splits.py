"""Cuts interactions into train, validation and test, in the same way on every machine."""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sif.datasets.interactions import Interactions, Order, canonical_order, fingerprint_in
from sif.errors import DataError

__all__ = ["SPLIT_KINDS", "Split", "SplitKind", "split"]

IntArray = NDArray[np.int64]
SplitKind = Literal["random", "user", "leave-last-out", "temporal"]
SPLIT_KINDS: tuple[SplitKind, ...] = ("random", "user", "leave-last-out", "temporal")
_PARTS = ("train", "valid", "test")
_BLOCK = 1 << 22  # rows of whole users that are put in order at once


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row numbers, int64 and ascending, of three disjoint parts that cover the interactions.

    `kind` is one of KINDS, or "files" or "column" for parts that came with the data; `drawn` are then those that did
    not come, and were cut from the training part at random. `fingerprint` changes with the data, the kind, the seed,
    the fractions, and the part that any row is in; it does not change with the order of the rows.
    """

    train: IntArray
    valid: IntArray
    test: IntArray
    kind: str
    seed: int
    fractions: tuple[float, float, float] | None
    fingerprint: str
    notes: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return kind, seed, fractions, sizes, fingerprint and notes as plain data, ready for JSON."""
        return {
            "kind": self.kind,
            "seed": self.seed,
            "fractions": None if self.fractions is None else list(self.fractions),
            "sizes": {part: len(getattr(self, part)) for part in _PARTS},
            "fingerprint": self.fingerprint,
            "notes": list(self.notes),
        }


def split(
    interactions: Interactions,
    kind: str = "random",
    fractions: tuple[float, float, float] = (0.5, 0.25, 0.25),
    seed: int = 0,
) -> Split:
    """Cut into train, validation and test.

    The draws are raw 64-bit words of PCG64, whose stream numpy fixes for good.

    Args:
        interactions: The rows.
        kind: `random`: rows at random. `user`: the same shares of each user's rows at random, at least one in train.
            `leave-last-out`: each user's last row to test, the one before to validation; users with fewer than 3 rows
            stay in train. `temporal`: by time over all users, the oldest rows train; equal times are ordered by user
            and item.
        fractions: Of train, validation and test; not used by `leave-last-out`.
        seed: Of the draws.

    Raises:
        DataError: The kind is unknown, fractions do not sum to 1, timestamps are missing, or a part is empty although
            its fraction is not 0.
    """
    if kind not in SPLIT_KINDS:
        raise DataError(f'split kind "{kind}" is unknown\n  Use one of {", ".join(SPLIT_KINDS)}.')
    shares = _check_fractions(fractions)
    if seed < 0:
        raise DataError(f"split seed {seed} is negative\n  Use 0 or a positive whole number.")
    if kind in ("leave-last-out", "temporal") and interactions.timestamp is None:
        raise DataError(
            f"{interactions.source} has no timestamps, and the {kind} split orders by them\n"
            '  Add a timestamp column, or use split kind "random" or "user".'
        )
    order = canonical_order(interactions)
    labels, notes = _labels(interactions, order, kind, shares, seed)
    for part, name in enumerate(_PARTS):
        if (kind == "leave-last-out" or shares[part] > 0) and not (labels == part).any():
            raise DataError(
                f"{interactions.source} has {len(interactions)} interactions, and the {kind} split leaves the {name} "
                "part empty\n  Give more data, or another kind or other fractions."
            )
    return from_labels(interactions, order, labels, (kind, seed, None if kind == "leave-last-out" else shares), notes)


def from_labels(
    interactions: Interactions,
    order: Order,
    labels: NDArray[np.int8],
    terms: tuple[str, int, tuple[float, float, float] | None],
    notes: list[str],
) -> Split:
    """Build a Split from the part (0, 1, 2) of each row in canonical order; terms are kind, seed and fractions."""
    kind, seed, fractions = terms
    of_row = np.empty(len(order), np.int8)
    of_row[order] = labels
    train, valid, test = (np.flatnonzero(of_row == part).astype(np.int64, copy=False) for part in range(3))
    digest = hashlib.sha256(json.dumps([fingerprint_in(interactions, order), kind, seed, fractions]).encode())
    digest.update(labels.tobytes())
    said = (*notes, *_unseen(interactions, train, valid, test))
    return Split(train, valid, test, kind, seed, fractions, digest.hexdigest()[:16], said)


def _check_fractions(fractions: tuple[float, float, float]) -> tuple[float, float, float]:
    shares = tuple(float(share) for share in fractions)
    good = len(shares) == 3 and all(share >= 0 for share in shares) and abs(math.fsum(shares) - 1) <= 1e-6
    if not good or shares[0] == 0:
        shown = ", ".join(f"{share:g}" for share in shares)
        raise DataError(
            f"split fractions ({shown}) cannot be used\n"
            "  Give three numbers for train, validation and test that sum to 1, the first above 0: (0.5, 0.25, 0.25)."
        )
    return shares[0], shares[1], shares[2]


def _draws(seed: int, count: int) -> NDArray[np.uint64]:
    return np.random.PCG64(seed).random_raw(count)


def _edges(counts: Any, shares: tuple[float, float, float]) -> tuple[Any, Any]:
    """Where train ends and where validation ends among `counts` rows, rounded half up."""
    first = np.floor(counts * shares[0] + 0.5)
    second = np.floor(counts * (shares[0] + shares[1]) + 0.5) if shares[2] > 0 else counts
    return first, np.maximum(first, second)


def _labels(
    data: Interactions, order: Order, kind: str, shares: tuple[float, float, float], seed: int
) -> tuple[NDArray[np.int8], list[str]]:
    """The part (0, 1, 2) of each row in canonical order, and notes."""
    if kind == "random":
        return _by_rank(_draws(seed, len(data)), _edges(len(data), shares)), []
    if kind == "temporal":
        assert data.timestamp is not None
        labels = _by_rank(data.timestamp[order], _edges(len(data), shares))
        return labels, _torn(data.timestamp[order], labels)
    users = data.user[order]
    counts = np.bincount(users, minlength=data.n_users)
    if kind == "user":
        first, second = _edges(counts, shares)
        first = np.maximum(first, 1)
        second = np.maximum(first, second)
        labels = _within_users(_draws(seed, len(data)), counts, (first, second))
        whole = int(np.count_nonzero((counts > 0) & (first == counts))) if shares[0] < 1 else 0
        return labels, [f"{whole} users have too few interactions to cut, and are in train whole"] if whole else []
    assert data.timestamp is not None
    few = counts < 3
    labels = _within_users(
        data.timestamp[order], counts, (np.where(few, counts, counts - 2), np.where(few, counts, counts - 1))
    )
    alone = int(np.count_nonzero(few & (counts > 0)))
    notes = [f"{alone} users with fewer than 3 interactions are in train whole"] if alone else []
    return labels, notes + _tied(users, data.timestamp[order], labels)


def _torn(times: NDArray[Any], labels: NDArray[np.int8]) -> list[str]:
    """A note where more than 1 % of the rows have a time that stands on both sides of a cut."""
    rows = 0
    for part in (0, 1):
        before, after = labels <= part, labels > part
        if before.any() and after.any() and times[before].max() == times[after].min():
            rows = max(rows, int(np.count_nonzero(times == times[before].max())))
    if rows * 100 <= len(times):
        return []
    return [f"{rows} interactions have the time at which parts are cut: they are told apart by user and item alone"]


def _tied(users: IntArray, times: NDArray[Any], labels: NDArray[np.int8]) -> list[str]:
    """A note where users have other rows of the time of their last, so that the item decides which is the last."""
    count = len(np.bincount(users))
    test = np.full(count, -np.inf)
    test[users[labels == 2]] = times[labels == 2]
    tied = len(np.unique(users[(labels < 2) & (times == test[users])]))
    note = f"{tied} users have several interactions at their last time: the item decides which is last"
    return [note] if tied else []


def _by_rank(values: NDArray[Any], ends: tuple[Any, Any]) -> NDArray[np.int8]:
    """0 for the ends[0] smallest values, 1 for those after them up to ends[1], 2 for the rest; ties by position."""
    labels = np.full(len(values), 2, np.int8)
    for end in map(int, ends):
        if end >= len(values):
            labels -= np.int8(1)
            continue
        edge = np.partition(values, end)[end]
        below = values < edge
        below[np.flatnonzero(values == edge)[: end - np.count_nonzero(below)]] = True
        labels -= below
    return labels


def _within_users(values: NDArray[Any], counts: IntArray, ends: tuple[Any, Any]) -> NDArray[np.int8]:
    """As `_by_rank` within each user: counts are of rows sorted by user, ends of each user. In blocks of users."""
    labels = np.empty(len(values), np.int8)
    stops = np.cumsum(counts)
    first = 0
    while first < len(counts):
        begin = int(stops[first] - counts[first])
        last = max(first + 1, int(np.searchsorted(stops, begin + _BLOCK, side="right")))
        rows = slice(begin, int(stops[last - 1]))
        user = np.repeat(np.arange(first, last), counts[first:last])
        order = np.lexsort((values[rows], user))
        place = np.arange(len(user)) - (stops - counts - begin)[user]  # the user at a place is that of the row there
        labels[rows][order] = (place >= ends[0][user]).astype(np.int8) + (place >= ends[1][user])
        first = last
    return labels


def _unseen(interactions: Interactions, train: IntArray, valid: IntArray, test: IntArray) -> list[str]:
    notes = []
    for what, codes, size in (
        ("users", interactions.user, interactions.n_users),
        ("items", interactions.item, interactions.n_items),
    ):
        seen = np.zeros(size, bool)
        seen[codes[train]] = True
        for name, part in (("validation", valid), ("test", test)):
            if unseen := len(np.unique(codes[part][~seen[codes[part]]])):
                notes.append(f"{unseen} {what} of the {name} part do not occur in train")
    return notes

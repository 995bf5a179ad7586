"""Cuts interactions into train, validation and test, in the same way on every machine."""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sif.datasets.interactions import Interactions, canonical_order
from sif.errors import DataError

__all__ = ["KINDS", "Split", "SplitKind", "split"]

IntArray = NDArray[np.int64]
SplitKind = Literal["random", "user", "leave-last-out", "temporal"]
KINDS: tuple[SplitKind, ...] = ("random", "user", "leave-last-out", "temporal")
_PARTS = ("train", "valid", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row numbers, int64 and ascending, of three disjoint parts that cover the interactions.

    `kind` is one of KINDS, or "files" for parts that came as files. `fingerprint` changes with the data, the kind,
    the seed, the fractions, and the part that any row is in; it does not change with the order of the rows.
    """

    train: IntArray
    valid: IntArray
    test: IntArray
    kind: str
    seed: int
    fractions: tuple[float, float, float] | None
    fingerprint: str
    notes: tuple[str, ...] = ()

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

    random: rows at random. user: the same shares of each user's rows at random, at least one in train.
    leave-last-out: each user's last row to test, the one before to validation; users with fewer than 3 rows stay in
    train; fractions are not used. temporal: by time over all users, the oldest rows train; equal times are ordered by
    user and item. The draws are raw 64-bit words of PCG64, whose stream numpy fixes for good.

    Raises DataError for an unknown kind, fractions that do not sum to 1, missing timestamps, and parts that are
    empty although their fraction is not 0.
    """
    if kind not in KINDS:
        raise DataError(f'split kind "{kind}" is unknown\n  Use one of {", ".join(KINDS)}.')
    shares = _check_fractions(fractions)
    if seed < 0:
        raise DataError(f"split seed {seed} is negative\n  Use 0 or a positive whole number.")
    if kind in ("leave-last-out", "temporal") and interactions.timestamp is None:
        raise DataError(
            f"{interactions.source} has no timestamps, and the {kind} split orders by them\n"
            '  Add a timestamp column, or use split kind "random" or "user".'
        )
    order = canonical_order(interactions)
    cut = {"random": _random, "user": _per_user, "leave-last-out": _last_out, "temporal": _temporal}[kind]
    labels, notes = cut(interactions.take(order), shares, seed)
    for part, name in enumerate(_PARTS):
        if (kind == "leave-last-out" or shares[part] > 0) and not (labels == part).any():
            raise DataError(
                f"{interactions.source} has {len(interactions)} interactions, and the {kind} split leaves the {name} "
                "part empty\n  Give more data, or another kind or other fractions."
            )
    return from_labels(interactions, order, labels, (kind, seed, None if kind == "leave-last-out" else shares), notes)


def from_labels(
    interactions: Interactions,
    order: IntArray,
    labels: NDArray[np.int8],
    terms: tuple[str, int, tuple[float, float, float] | None],
    notes: list[str],
) -> Split:
    """Build a Split from the part (0, 1, 2) of each row in canonical order; terms are kind, seed and fractions."""
    kind, seed, fractions = terms
    of_row = np.empty(len(order), np.int8)
    of_row[order] = labels
    train, valid, test = (np.flatnonzero(of_row == part).astype(np.int64, copy=False) for part in range(3))
    digest = hashlib.sha256(json.dumps([interactions.fingerprint(), kind, seed, fractions]).encode())
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


def _by_position(position: IntArray, ends: tuple[Any, Any]) -> NDArray[np.int8]:
    labels: NDArray[np.int8] = (position >= ends[0]).astype(np.int8) + (position >= ends[1]).astype(np.int8)
    return labels


def _random(data: Interactions, shares: tuple[float, float, float], seed: int) -> tuple[NDArray[np.int8], list[str]]:
    order = np.argsort(_draws(seed, len(data)), kind="stable")
    labels = np.empty(len(data), np.int8)
    labels[order] = _by_position(np.arange(len(data)), _edges(len(data), shares))
    return labels, []


def _within_user(data: Interactions, key: NDArray[Any]) -> tuple[IntArray, IntArray]:
    """Position of each row among its user's rows when these are sorted by key, and how many the user has."""
    order = np.lexsort((key, data.user))
    counts = np.bincount(data.user, minlength=data.n_users)
    starts = np.cumsum(counts) - counts
    position = np.empty(len(data), np.int64)
    position[order] = np.arange(len(data)) - starts[data.user[order]]
    return position, counts[data.user]


def _per_user(data: Interactions, shares: tuple[float, float, float], seed: int) -> tuple[NDArray[np.int8], list[str]]:
    position, count = _within_user(data, _draws(seed, len(data)))
    first, second = _edges(count, shares)
    first = np.maximum(first, 1)
    return _by_position(position, (first, np.maximum(first, second))), []


def _last_out(data: Interactions, shares: tuple[float, float, float], seed: int) -> tuple[NDArray[np.int8], list[str]]:
    assert data.timestamp is not None
    position, count = _within_user(data, data.timestamp)
    few = count < 3
    labels = _by_position(position, (np.where(few, count, count - 2), np.where(few, count, count - 1)))
    users = len(np.unique(data.user[few]))
    return labels, [f"{users} users with fewer than 3 interactions are in train whole"] if users else []


def _temporal(data: Interactions, shares: tuple[float, float, float], seed: int) -> tuple[NDArray[np.int8], list[str]]:
    assert data.timestamp is not None
    order = np.argsort(data.timestamp, kind="stable")
    labels = np.empty(len(data), np.int8)
    labels[order] = _by_position(np.arange(len(data)), _edges(len(data), shares))
    return labels, []


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

"""The one form that all data take inside: who met what, how they rated it, when, and in which context."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sif.datasets.feedback import UNSEEN, Feedback, feedback_of
from sif.datasets.vocabulary import Vocabulary
from sif.errors import DataError

__all__ = ["Interactions"]

IntArray = NDArray[np.int64]
Order = NDArray[np.int32] | NDArray[np.int64]

_BLOCK = 1 << 22  # rows that are worked on at once where all would take much memory


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """User-item interactions as arrays of one length n, in the order of the source.

    Shapes: user, item int64 [n] in 0..n_users-1 and 0..n_items-1; rating float32 [n], or None for implicit feedback;
    timestamp int64 or float64 [n] in seconds since 1970 (UTC), or None; context int64 [n] into `contexts`, or None.
    weight float32 [n], finite and above 0: how much each was met (plays, purchases), or None.
    `feedback` says what ratings or weights are; where it is not given, by their values.
    `notes` are the rules that reading applied, one sentence each. Raises DataError where lengths or numbers disagree.
    """

    user: IntArray
    item: IntArray
    rating: NDArray[np.float32] | None
    timestamp: NDArray[Any] | None
    context: IntArray | None
    users: Vocabulary
    items: Vocabulary
    contexts: Vocabulary | None = None
    name: str = "interactions"
    source: str = "memory"
    notes: tuple[str, ...] = ()
    weight: NDArray[np.float32] | None = None
    feedback: Feedback = UNSEEN

    def __post_init__(self) -> None:
        for column in ("item", "rating", "timestamp", "context", "weight"):
            values = getattr(self, column)
            if values is not None and len(values) != len(self.user):
                raise DataError(f"{self.name}: {column} has {len(values)} values, user has {len(self.user)}")
        if (self.context is None) != (self.contexts is None):
            raise DataError(f"{self.name}: context numbers and the vocabulary of contexts come together or not at all")
        if self.weight is not None and not (np.isfinite(self.weight) & (self.weight > 0)).all():
            raise DataError(f"{self.name}: weight holds numbers that are not finite and above 0; leave such rows out")
        for column, codes, vocabulary in self._coded():
            if len(codes) and not (int(codes.min()) >= 0 and int(codes.max()) < len(vocabulary)):
                raise DataError(f"{self.name}: {column} holds numbers outside 0..{len(vocabulary) - 1}")
        if self.feedback is UNSEEN:
            values = self.weight if self.rating is None else self.rating
            object.__setattr__(self, "feedback", feedback_of(values))

    def _coded(self) -> list[tuple[str, IntArray, Vocabulary]]:
        coded = [("user", self.user, self.users), ("item", self.item, self.items)]
        if self.context is not None and self.contexts is not None:
            coded.append(("context", self.context, self.contexts))
        return coded

    def ages(self, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return the days from each of some rows to the newest of them, float32 `[n]`; None without timestamps.

        Args:
            rows: Their numbers, int64 `[n]`.
        """
        if self.timestamp is None or not len(rows):
            return None
        times = self.timestamp[rows].astype(np.float64)
        ages: NDArray[np.float32] = ((times.max() - times) / 86_400.0).astype(np.float32)
        return ages

    def __len__(self) -> int:
        return len(self.user)

    @property
    def n_users(self) -> int:
        """Number of users in the vocabulary (a part made by `take` keeps them all)."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of items in the vocabulary."""
        return len(self.items)

    def take(self, indices: IntArray) -> "Interactions":
        """Return the rows at `indices` (int64 [m]), with the same vocabularies."""
        held = {name: getattr(self, name) for name in ("user", "item", "rating", "timestamp", "context", "weight")}
        rows: dict[str, Any] = {name: None if values is None else values[indices] for name, values in held.items()}
        return replace(self, **rows)

    def user_items(self) -> Any:
        """Return a scipy CSR float32 [n_users, n_items]: the ratings, or ones for implicit feedback.

        A pair rated in several contexts keeps the last of them in row order.
        """
        data = self if self.context is None else self.take(last_of_each(pair_key(self), None))
        weights = np.ones(len(data), np.float32) if data.rating is None else data.rating
        entries = (weights, (data.user, data.item))
        return sparse.csr_matrix(entries, shape=(self.n_users, self.n_items), dtype=np.float32)

    def describe(self) -> dict[str, Any]:
        """Return counts, density, rating scale and date range as plain data, ready for JSON."""
        cells = self.n_users * self.n_items
        facts: dict[str, Any] = {
            "name": self.name,
            "source": self.source,
            "users": self.n_users,
            "items": self.n_items,
            "interactions": len(self),
            "density": len(self) / cells if cells else 0.0,
            "rating": None if self.rating is None else _scale(self.rating),
            "dates": None,
            "contexts": None if self.contexts is None else len(self.contexts),
            "feedback": self.feedback.describe(),
            "notes": list(self.notes),
        }
        if self.weight is not None:
            facts["weight"] = _scale(self.weight)
        if self.timestamp is not None and len(self):
            ends = np.array([self.timestamp.min(), self.timestamp.max()]).astype("int64").astype("datetime64[s]")
            facts["dates"] = {"first": str(ends[0]), "last": str(ends[1])}
        return facts

    def fingerprint(self) -> str:
        """Return 16 hex digits of a SHA-256 over ids and all other columns, whatever the order of the rows."""
        return fingerprint_in(self, canonical_order(self))

    def with_month_context(self) -> "Interactions":
        """Return the same rows with the month of rating ("1997-09", UTC) as context.

        Raises DataError where there are no timestamps.
        """
        if self.timestamp is None:
            raise DataError(
                f"{self.source} has no timestamps, and the month context is derived from them\n"
                "  Add a timestamp column (epoch seconds or ISO dates), or name a context column of your own."
            )
        seconds = np.floor(self.timestamp).astype(np.int64).astype("datetime64[s]")
        months, codes = np.unique(seconds.astype("datetime64[M]"), return_inverse=True)
        labels = months.astype(str).tolist()
        contexts = Vocabulary(labels)
        return replace(self, context=contexts.encode(labels)[codes.reshape(-1)], contexts=contexts)

    def without_context(self) -> "Interactions":
        """Return the interactions without contexts: of the rows of one user and item the latest (a note counts).

        Their weights are added up.
        """
        if self.context is None:
            return self
        key = pair_key(self)
        kept = last_of_each(key, self.timestamp)
        notes = (*self.notes, "contexts are not used")
        if len(kept) < len(self):
            notes += (f"{len(self) - len(kept)} duplicate (user, item) pairs dropped: kept the latest of each",)
        made = replace(self, context=None, contexts=None, notes=notes).take(kept)
        return made if self.weight is None else replace(made, weight=added_up(key, self.weight, kept))

    @classmethod
    def from_csr(
        cls,
        matrix: Any,
        *,
        users: Vocabulary | None = None,
        items: Vocabulary | None = None,
        name: str = "matrix",
        weight: Literal["values", "repeats"] | None = None,
    ) -> "Interactions":
        """Take a scipy sparse matrix of any format; a boolean one is implicit feedback.

        Stored zeros are dropped and repeated entries keep the last one (both noted).

        Args:
            matrix: Real, `[users, items]`.
            users: Ids of the rows; None: their numbers, empty ones included.
            items: Ids of the columns, likewise.
            name: What messages call it.
            weight: `values`: the values are weights too; `repeats`: each entry weighs 1. Weights of repeated entries
                are added up, and values of 0 or less are no entries where they are weights (noted).

        Raises:
            DataError: It is not two-dimensional and real, values are not finite, or vocabularies have another length.
        """
        coo = _coo(matrix, name)
        users = users if users is not None else Vocabulary(np.arange(coo.shape[0]))
        items = items if items is not None else Vocabulary(np.arange(coo.shape[1]))
        if (len(users), len(items)) != coo.shape:
            raise DataError(
                f"{name} has shape {coo.shape}, the vocabularies have {len(users)} users, {len(items)} items"
            )
        values = np.asarray(coo.data)
        notes = []
        keep = np.flatnonzero(~(values <= 0) if weight == "values" else values != 0)
        if len(keep) < len(values):
            what = "weights of 0 or less" if weight == "values" else "stored zeros"
            notes.append(f"{len(values) - len(keep)} {what} dropped: zero means no interaction in a sparse matrix")
        user, item, values = coo.row[keep].astype(np.int64), coo.col[keep].astype(np.int64), values[keep]
        with np.errstate(over="ignore"):
            rating = values.astype(np.float32)
        if not np.isfinite(rating).all():
            bad = int(np.flatnonzero(~np.isfinite(rating))[0])
            raise DataError(
                f"{name}: the entry at row {user[bad]}, column {item[bad]} is {values[bad]}, which no rating can be\n"
                "  Replace it by a finite number, or remove the entry."
            )
        key = user * len(items) + item
        last = last_of_each(key, None)
        if len(last) < len(user):
            added = ", and their weights added up" if weight else ""
            notes.append(f"{len(user) - len(last)} repeated entries: kept the last of each (user, item) pair{added}")
        weights = None
        if weight is not None:
            weights = added_up(key, np.ones_like(rating) if weight == "repeats" else rating, last)
        return cls(
            user=user[last],
            item=item[last],
            rating=None if values.dtype == bool else rating[last],
            timestamp=None,
            context=None,
            users=users,
            items=items,
            name=name,
            source=name,
            notes=tuple(notes),
            weight=weights,
            feedback=feedback_of(None if values.dtype == bool else rating[last]),
        )


def _coo(matrix: Any, name: str) -> Any:
    why = f"has {matrix.ndim} dimensions" if matrix.ndim != 2 else ""
    why = why or ("holds complex numbers" if matrix.dtype.kind == "c" else "")
    try:
        if not why:
            return sparse.coo_array(matrix)
    except ValueError:
        why = f"holds values of type {matrix.dtype}"
    raise DataError(f"{name} {why}\n  Give a scipy sparse matrix [users, items] of real numbers.")


def pair_key(interactions: Interactions) -> IntArray:
    """Return one int64 per row that orders rows by user, then item."""
    return interactions.user * np.int64(interactions.n_items) + interactions.item


def canonical_order(interactions: Interactions) -> Order:
    """Return row numbers sorted by user, item, context: an order that shuffling the source does not change.

    Int32 where that is enough, else int64. Pairs that occur once are put in order by counting, in linear time.
    """
    if interactions.context is not None:
        return np.lexsort((interactions.context, pair_key(interactions))).astype(np.int64, copy=False)
    rows = np.arange(len(interactions), dtype=np.int32 if len(interactions) < 2**31 else np.int64)
    shape = interactions.n_users, interactions.n_items
    matrix = sparse.csr_array((rows, (interactions.user, interactions.item)), shape=shape)
    if matrix.nnz == len(interactions):
        order: Order = matrix.data
        return order
    return np.argsort(pair_key(interactions), kind="stable").astype(np.int64, copy=False)


def fingerprint_in(interactions: Interactions, order: Order) -> str:
    """Return the fingerprint of interactions whose canonical order is known; reads them in blocks."""
    digest = hashlib.sha256()
    for vocabulary in (interactions.users, interactions.items, interactions.contexts):
        digest.update(b"null" if vocabulary is None else b"[")
        for place, ids in enumerate(vocabulary.blocks() if vocabulary is not None else ()):
            digest.update(b", " * (place > 0) + json.dumps(ids, ensure_ascii=True)[1:-1].encode())
        digest.update(b"\n" if vocabulary is None else b"]\n")
    for values, dtype in (
        (interactions.user, "<i8"),
        (interactions.item, "<i8"),
        (interactions.rating, "<f4"),
        (interactions.timestamp, "<f8"),
        (interactions.context, "<i8"),
    ):
        if values is None:
            digest.update(b"none")
            continue
        for start in range(0, len(order), _BLOCK):
            digest.update(values[order[start : start + _BLOCK]].astype(dtype).tobytes())
    if interactions.weight is not None:
        digest.update(b"weight" + interactions.weight[order].astype("<f4").tobytes())
    return digest.hexdigest()[:16]


def last_of_each(key: IntArray, timestamp: NDArray[Any] | None) -> IntArray:
    """Return the numbers, ascending, of the latest row of each key: by timestamp, and by position where times tie."""
    ordered = np.sort(key)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    if not len(repeated):
        return np.arange(len(key), dtype=np.int64)
    # Only the rows of repeated keys are put in order; they are few, and sorting all by two keys is slow.
    rows = _rows_with(key, repeated)
    keys = key[rows]
    order = np.argsort(keys, kind="stable") if timestamp is None else np.lexsort((timestamp[rows], keys))
    drop = rows[order[:-1][keys[order][1:] == keys[order][:-1]]]
    keep = np.ones(len(key), bool)
    keep[drop] = False
    return np.flatnonzero(keep).astype(np.int64, copy=False)


def dropped_note(count: int, timed: bool, pairs: str = "(user, item) pairs") -> str:
    """Return what is said where rows went for `last_of_each`."""
    return f"{count} duplicate {pairs} dropped: kept the {'latest' if timed else 'last'} of each"


def added_up(key: IntArray, weight: NDArray[np.float32], kept: IntArray) -> NDArray[np.float32]:
    """Return the sum of the weights of all rows of a key, float32, for the one row of each key that is kept."""
    if len(kept) == len(key):
        return weight
    order = np.argsort(key[kept], kind="stable")
    sums = np.bincount(np.searchsorted(key[kept], key, sorter=order), weight, minlength=len(kept))
    made = np.empty(len(kept), np.float32)
    made[order] = sums
    return made


def _rows_with(key: IntArray, wanted: IntArray) -> IntArray:
    """Row numbers, ascending, of the keys that are among `wanted` (sorted); few are, and most are told by low bits."""
    marks = np.zeros(1 << (16 * len(wanted)).bit_length(), bool)
    low = np.int64(len(marks) - 1)
    marks[wanted & low] = True
    found = []
    for start in range(0, len(key), _BLOCK):
        block = key[start : start + _BLOCK]
        rows = np.flatnonzero(marks[block & low])
        place = np.minimum(np.searchsorted(wanted, block[rows]), len(wanted) - 1)
        found.append(start + rows[wanted[place] == block[rows]])
    return np.concatenate(found)


def _scale(rating: NDArray[np.float32]) -> dict[str, Any] | None:
    if not len(rating):
        return None
    values = np.unique(rating).astype(np.float64)
    return {
        "min": float(values[0]),
        "max": float(values[-1]),
        "mean": float(rating.mean(dtype=np.float64)),
        "step": float(np.diff(values).min()) if 1 < len(values) <= 1000 else None,
        "distinct": len(values),
    }

"""What the values of a table say of who met what: ratings, counts, clicks; and which rows are interactions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sif.datasets.columns import FeedbackKind, normal, spelt
from sif.errors import DataError

if TYPE_CHECKING:
    from sif.datasets.interactions import Interactions

__all__ = [
    "UNSEEN",
    "Feedback",
    "NotRatings",
    "check_rating_task",
    "feedback_of",
    "met",
    "only_met",
    "taken_as",
    "weighed",
]

_MEANING: dict[FeedbackKind, str] = {
    "ratings": "how much each was liked, on a scale",
    "counts": "weights of implicit feedback, ranked",
    "clicks": "who met what, ranked",
    "impressions": "1 was met, 0 was shown, ranked",
    "signed": "above 0 was liked, ranked",
}
_RATED = ("rating", "rated", "star", "score", "overall", "preference", "grade", "opinion")
_COUNTED = (
    *("count", "cnt", "play", "listen", "quantity", "qty", "purchas", "order", "freq", "view", "visit", "hits"),
    *("click", "times", "watch", "heard", "duration", "second", "minute", "hour", "dwell", "bought", "sold"),
)
_LOOKED_AT = 1 << 17  # rows that tell how values spread
_TAIL = 0.15  # of ratings, more lie in the upper half of their scale, even where raters are harsh
_TOP = 0.03  # of whole ratings, more have the highest levels: a scale ends where people still give marks
_ENDS = (20.0, 100.0)  # where scales of ratings end, besides at 10 and below


class NotRatings(DataError):
    """Values cannot be predicted as ratings; they may be ranked."""


NotRatings.__name__ = DataError.__name__  # told as one; only the choice of a recipe tells them apart


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the values of a table are.

    Attributes:
        kind: `ratings` (on a scale), `counts` (how often or how long), `clicks` (no values, or all equal),
            `impressions` (0 and 1) or `signed` (-1 and 1).
        column: The column of values; "" where it has no name.
        low: The least value; None without values.
        high: The greatest.
        sure: Whether the values leave no doubt, or somebody said so.
    """

    kind: FeedbackKind
    column: str = ""
    low: float | None = None
    high: float | None = None
    sure: bool = True

    def __str__(self) -> str:
        """Return the one line that is said of it."""
        other = "counts" if self.kind == "ratings" else "ratings"
        doubt = f"; this is not sure, and if they are {other}: {override(other)}"
        if self.low is None:
            doubt = "; if another column has ratings or counts: --set columns.rating=NAME"
        doubt = "" if self.sure else doubt
        return f"feedback: {self.kind} ({self.values}); {_MEANING[self.kind]}{doubt}"

    @property
    def values(self) -> str:
        """The column of values and their ends, as text."""
        if self.low is None or self.high is None:
            return self.column or "no column of values"
        between = "and" if self.kind in ("impressions", "signed") else "to"
        ends = f"{_number(self.low)} {between} {_number(self.high)}"
        told = f"all {_number(self.low)}" if self.low == self.high else ends
        return f"{self.column}: {told}" if self.column else told

    def describe(self) -> dict[str, Any]:
        """Return it as plain data, ready for JSON."""
        facts = {"kind": self.kind, "column": self.column, "min": self.low, "max": self.high, "sure": self.sure}
        return facts | {"told": str(self)}


UNSEEN = Feedback("clicks")
"""That of interactions whose values nobody has looked at yet."""


def override(kind: str) -> str:
    """Return what to type, and to write in Python, to say what the feedback is."""
    return f'--set feedback={kind} (in Python feedback="{kind}")'


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,.4g}"


def feedback_of(values: NDArray[Any] | None, column: str = "", said: FeedbackKind | None = None) -> Feedback:
    """Return what values are, by their spread and by the words of their column's name.

    Args:
        values: Finite numbers `[n]`, one for each row of the source; None: there are none.
        column: The name of their column; "" where it has none.
        said: What they are, where somebody says so.
    """
    if values is None or not len(values):
        return Feedback(said or "clicks", column)
    low, high = float(values.min()), float(values.max())
    kind, sure = (said, True) if said else _told(values, low, high, normal(column))
    return Feedback(kind, column, low, high, sure)


def _told(values: NDArray[Any], low: float, high: float, name: str) -> tuple[FeedbackKind, bool]:
    """What values are, and whether that is sure."""
    if low == high:
        return "clicks", True
    if low >= -1 and high <= 1 and (values == np.rint(values)).all():
        return ("signed" if low < 0 else "impressions"), True
    rated = any(word in name for word in _RATED)
    if not rated and (name in spelt("weight") or any(word in name for word in _COUNTED)):
        return "counts", True
    shown = np.sort(values[:: -(-len(values) // _LOOKED_AT)])
    levels, whole = np.unique(shown), bool((shown == np.rint(shown)).all())
    scale = high <= 10 or high in _ENDS  # a scale of ratings may end there
    if not _heavy(shown, levels, whole):
        return "ratings", rated or (low >= -100 and high <= 100 and (not whole or (scale and len(levels) > 3)))
    halves = not whole and len(levels) <= 41 and bool((2 * levels == np.rint(2 * levels)).all())  # nothing counts so
    if halves or (scale and rated):
        return "ratings", False
    return "counts", not scale and (high > 100 or not rated)


def _heavy(shown: NDArray[Any], levels: NDArray[Any], whole: bool) -> bool:
    """Whether few of the sorted values lie high: a tail, where a scale would have marks up to its end."""
    least, most = (shown[int(share * (len(shown) - 1))] for share in (0.01, 0.99))  # a slip of the pen is no scale
    if least == most:
        return bool(least == shown[0])
    if float((shown > (least + most) / 2).mean()) < _TAIL:
        return True
    top = levels[-max(2, len(levels) // 10)]
    return whole and float((shown >= top).mean()) < _TOP


def taken_as(interactions: Interactions, kind: FeedbackKind | None) -> Interactions:
    """Return the interactions with their values taken for what somebody says they are; None: as they are.

    Of clicks all rows count, whatever their values; the values of the others are their ratings, or else their weights.
    """
    if kind is None:
        return interactions
    values, column = interactions.rating, interactions.feedback.column
    if kind == "clicks":
        return replace(interactions, rating=None, feedback=feedback_of(None, column, kind))
    if values is None and kind != "counts":
        values = interactions.weight
    return replace(interactions, rating=values, feedback=feedback_of(values, column, kind))


def met(rating: NDArray[np.float32], source: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return the rows, int64, that say that a user met an item, those rated above 0, and a note where some are not.

    A shown item that was not clicked, a dislike and a return are written as 0 or less; a sparse matrix has no entry.
    Raises DataError where no row is left.
    """
    rows = np.flatnonzero(rating > 0).astype(np.int64, copy=False)
    if len(rows) == len(rating):
        return rows, []
    every = 'where every row counts: --set columns.rating=""'
    if not len(rows):
        raise DataError(
            f"{source}: all {len(rating)} ratings are 0 or less, so that nothing was met\n"
            f"  Say from which rating on a pair counts: --set ranking.threshold={rating.min():g}; {every}"
        )
    return rows, [
        f"{len(rating) - len(rows)} of {len(rating)} ratings are 0 or less and are left out; to count from another "
        f"rating on: --set ranking.threshold={rating[rows].min():g}; {every}"
    ]


def weighed(weight: NDArray[np.float32], source: str) -> tuple[NDArray[np.int64], list[str]]:
    """Return the rows, int64, whose weight is above 0, and a note where some are not; raises DataError without any."""
    rows = np.flatnonzero(weight > 0).astype(np.int64, copy=False)
    if len(rows) == len(weight):
        return rows, []
    if not len(rows):
        raise DataError(
            f"{source}: all {len(weight)} weights are 0 or less, so that nothing was met\n"
            "  Name another column of weights: --set columns.weight=NAME; or use none: --set ranking.weight=none"
        )
    left = len(weight) - len(rows)
    return rows, [f"{left} of {len(weight)} weights are 0 or less: their rows are left out, not subtracted"]


def only_met(interactions: Interactions) -> Interactions:
    """Return the rows that `met` finds, or all where nothing is rated."""
    if interactions.rating is None:
        return interactions
    rows, notes = met(interactions.rating, interactions.source)
    return replace(interactions.take(rows), notes=(*interactions.notes, *notes)) if notes else interactions


def check_rating_task(interactions: Interactions) -> None:
    """Raise `NotRatings` where ratings cannot be predicted: there are none, all are equal, or they are counts."""
    rating, feedback = interactions.rating, interactions.feedback
    fix = 'Name the column of ratings: --set columns.rating="...". For clicks and purchases: --recipe clicks.'
    counted = f"Rank with them: --recipe clicks. If they are ratings after all: {override('ratings')}"
    if rating is None:
        why = "has no rating column that sif knows: as it stands it is implicit feedback (who met what)"
        if feedback.kind == "counts":
            why = f"has counts ({feedback.values}), and no ratings"
            fix = counted
    elif len(rating) and rating.min() == rating.max():
        why = f"has {len(rating)} ratings, and all are {rating[0]:g}: that is implicit feedback (who met what)"
    elif feedback.kind == "counts" and feedback.sure:
        why = f"has counts ({feedback.values}), not ratings: their squared error is that of the few largest"
        fix = counted
    else:
        return
    raise NotRatings(f"{interactions.source} {why}, and the rating task has nothing to learn\n  {fix}")

"""What ratings say of who met what: which rows are interactions, and whether there is anything to predict."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sif.datasets.interactions import Interactions
from sif.errors import DataError

__all__ = ["check_rating_task", "met", "only_met", "weighed"]


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
    """Raise DataError where ratings cannot be predicted: there are none, or all are equal."""
    rating = interactions.rating
    if rating is None:
        why = "has no rating column that sif knows: as it stands it is implicit feedback (who met what)"
    elif len(rating) and rating.min() == rating.max():
        why = f"has {len(rating)} ratings, and all are {rating[0]:g}: that is implicit feedback (who met what)"
    else:
        return
    raise DataError(
        f"{interactions.source} {why}, and the rating task has nothing to learn\n"
        '  Name the column of ratings: --set columns.rating="...". For clicks and purchases: --recipe clicks.'
    )

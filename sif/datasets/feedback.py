"""What ratings say of who met what: which rows are interactions, and whether there is anything to predict."""

from dataclasses import replace

import numpy as np

from sif.datasets.interactions import Interactions
from sif.datasets.splits import Split
from sif.errors import DataError

__all__ = ["check_rating_task", "only_met"]


def only_met(interactions: Interactions, cut: Split | None = None) -> tuple[Interactions, Split | None]:
    """Return the rows that say that a user met an item: rated above 0, or all where nothing is rated. A note counts.

    A shown item that was not clicked, a dislike and a return are written as 0 or less; a sparse matrix has no entry.
    A `cut` into parts goes along. Raises DataError where no row, or none of a part, is left.
    """
    rating, size = interactions.rating, len(interactions)
    rows = np.arange(size) if rating is None else np.flatnonzero(rating > 0)
    if rating is None or len(rows) == size:
        return interactions, cut
    every = 'where every row counts: --set columns.rating=""'
    for name in ("train", "valid", "test"):
        part = np.arange(size) if cut is None else getattr(cut, name)
        if len(part) and not len(np.intersect1d(part, rows)):
            where = "" if cut is None else f" of the {name} part"
            raise DataError(
                f"{interactions.source}: all {len(part)} ratings{where} are 0 or less, so that nothing was met\n"
                f"  Say from which rating on a pair counts: --set ranking.threshold={rating[part].min():g}; {every}"
            )
    note = (
        f"{size - len(rows)} of {size} ratings are 0 or less and are left out; to count from another rating on: "
        f"--set ranking.threshold={rating[rows].min():g}; {every}"
    )
    made = replace(interactions.take(rows), notes=(*interactions.notes, note))
    return made, None if cut is None else cut.of_rows(made, rows)


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

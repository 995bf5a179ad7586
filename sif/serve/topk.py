"""The best items of each user, with what must not be shown left out: exact, in blocks of users."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

__all__ = ["Ranked", "top_k", "top_k_of"]

Ranked = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Ids int32 and scores float32 `[rows, n]`, best first; -1 and -inf where nothing is left."""

_BLOCK = 1 << 20  # scores held at once: 4 MiB of float32, which a core's cache holds


def top_k(
    scores: Tensor,
    n: int,
    *,
    within: NDArray[np.int64] | None = None,
    seen: sparse.csr_array | None = None,
    excluded: NDArray[np.int64] | None = None,
) -> Ranked:
    """Return ids int32 and scores float32 `[rows, n]` of the largest scores, best first; ties go to the lower id.

    Places that no item is left for hold -1 and -inf.

    Args:
        scores: Floats `[rows, items]`, or `[rows, len(within)]`; they stay as they are.
        n: How many items.
        within: The items of the columns, int64 `[m]` ascending; None: all.
        seen: CSR `[rows, items]`, whose stored entries are left out.
        excluded: Items left out for all rows, int64 `[m]`.
    """

    def block(rows: slice) -> Tensor:
        return scores[rows].clone(memory_format=torch.contiguous_format)

    rows, columns = scores.shape
    return top_k_of(block, rows, columns, n, within=within, seen=seen, excluded=excluded)


def top_k_of(
    scores_of: Callable[[slice], Tensor],
    rows: int,
    columns: int,
    n: int,
    *,
    within: NDArray[np.int64] | None = None,
    seen: sparse.csr_array | None = None,
    excluded: NDArray[np.int64] | None = None,
) -> Ranked:
    """Do as `top_k` with scores that are made a block of rows at a time and never held all at once.

    Args:
        scores_of: Returns the scores `[rows, columns]` of a slice of the rows; what it returns is overwritten.
        rows: How many rows there are.
        columns: How many columns the scores have.
        n: How many items.
        within: The items of the columns, int64 `[m]` ascending; None: all.
        seen: CSR `[rows, items]`, whose stored entries are left out.
        excluded: Items left out for all rows, int64 `[m]`.
    """
    ids = np.full((rows, n), -1, np.int32)
    found = np.full((rows, n), -np.inf, np.float32)
    if not n or not columns:
        return ids, found
    left_out = None if excluded is None else torch.from_numpy(_places(excluded, within))
    step = max(1, _BLOCK // columns)
    for start in range(0, rows, step):
        block = slice(start, min(start + step, rows))
        values = scores_of(block).cpu().contiguous()
        if left_out is not None:
            values[:, left_out] = -torch.inf
        if seen is not None:
            _mask(values, seen, block, within)
        _select(values, ids[block], found[block])
    if within is not None:
        ids = np.where(ids < 0, -1, within[ids]).astype(np.int32)
    return ids, found


def _places(items: NDArray[np.int64], within: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the columns of items; those that have none are left out."""
    return items if within is None else np.flatnonzero(np.isin(within, items))


def _mask(values: Tensor, seen: sparse.csr_array, block: slice, within: NDArray[np.int64] | None) -> None:
    """Set the stored entries of the rows `block` of `seen` to -inf, in place."""
    starts = seen.indptr[block.start : block.stop + 1]
    columns = seen.indices[starts[0] : starts[-1]].astype(np.int64)
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    if within is not None:
        place = np.full(seen.shape[1], -1, np.int64)
        place[within] = np.arange(len(within))
        columns = place[columns]
        rows, columns = rows[columns >= 0], columns[columns >= 0]
    values.numpy().reshape(-1)[rows * values.shape[1] + columns] = -np.inf


def _select(values: Tensor, ids: NDArray[np.int32], found: NDArray[np.float32]) -> None:
    """Write the best columns of each row and their scores into the first places of `ids` and `found`.

    `torch.topk` knows the values but leaves the order of equal ones open, so one place more is asked for: rows
    in which two neighbours are equal are selected anew by `_tied`, the others are right.
    """
    columns = values.shape[1]
    n = min(ids.shape[1], columns)
    best, places = torch.topk(values, min(n + 1, columns), dim=1)
    found[:, :n] = best[:, :n].numpy()
    ids[:, :n] = places[:, :n].numpy()
    equal = (best[:, 1:] == best[:, :-1]) & (best[:, 1:] > -torch.inf)
    tied = equal.any(dim=1).nonzero().squeeze(1)
    if len(tied):
        rows, order, scores = _tied(values[tied], best[tied, n - 1])
        place = np.arange(len(rows)) - np.searchsorted(rows, rows)  # within its own row
        kept = place < n
        where = tied.numpy()[rows[kept]], place[kept]
        found[where], ids[where] = scores[kept], order[kept]
    ids[np.isneginf(found)] = -1


def _tied(values: Tensor, least: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return row, column and score of all that is at least `least` `[rows]`, by row, then best first, then column."""
    rows, columns = ((values >= least.unsqueeze(1)) & (values > -torch.inf)).nonzero(as_tuple=True)
    scores = values[rows, columns].numpy()
    order = np.lexsort((columns.numpy(), -scores, rows.numpy()))
    return rows.numpy()[order], columns.numpy()[order], scores[order]

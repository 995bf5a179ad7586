"""The best items of a score matrix, with what must not be shown left out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

__all__ = ["top_k"]


def top_k(
    scores: Tensor,
    n: int,
    *,
    within: NDArray[np.int64] | None = None,
    seen: sparse.csr_array | None = None,
    excluded: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return ids int32 and scores float32 `[rows, n]` of the largest scores, best first; ties go to the lower id.

    Shapes: `scores` `[rows, items]`, or `[rows, len(within)]` when its columns are the items `within`; `seen` CSR
    `[rows, items]`: its stored entries are left out; `excluded`: item ids left out for all rows. Places that no
    item is left for hold -1 and -inf.
    """
    values = scores.clone()
    if seen is not None:
        rows = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
        columns = seen.indices.astype(np.int64)
        if within is not None:
            place = np.full(seen.shape[1], -1, np.int64)
            place[within] = np.arange(len(within))
            columns = place[columns]
            rows, columns = rows[columns >= 0], columns[columns >= 0]
        values[torch.from_numpy(rows), torch.from_numpy(columns)] = -torch.inf
    if excluded is not None:
        if within is None:
            values[:, torch.from_numpy(excluded)] = -torch.inf
        else:
            values[:, torch.from_numpy(np.isin(within, excluded))] = -torch.inf
    order = torch.sort(values, dim=1, descending=True, stable=True)
    best, places = order.values[:, :n], order.indices[:, :n]
    ids = places.numpy() if within is None else within[places.numpy()]
    found = best.numpy().astype(np.float32)
    ids = np.where(np.isneginf(found), -1, ids).astype(np.int32)
    if found.shape[1] < n:
        pad = ((0, 0), (0, n - found.shape[1]))
        ids = np.pad(ids, pad, constant_values=-1)
        found = np.pad(found, pad, constant_values=-np.inf)
    return ids, found

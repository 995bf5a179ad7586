"""What rivals share that weigh items by items through sparse matrices: degrees, products, the largest of each row."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from sif.device import available
from sif.rivals.pair_table import PairTable

__all__ = [
    "BLOCK_BYTES",
    "co_occurrences",
    "degrees",
    "items_too_large",
    "normalised",
    "strongest",
    "strongest_products",
]

BLOCK_BYTES = 1 << 30
"""Of the rows of a product that are made at once, if they meet all items."""
_ROWS = 2048  # of these at most


def degrees(has: sparse.csr_matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what each user and each item has in all, float64 `[users]`, `[items]`; 1 where that is nothing.

    Args:
        has: CSR `[users, items]`: ones, or confidences.
    """
    made = (np.asarray(has.sum(axis=axis, dtype=np.float64)).ravel() for axis in (1, 0))
    users, items = (np.where(values > 0, values, 1.0) for values in made)
    return users, items


def normalised(has: sparse.csr_matrix, user_power: float, item_power: float) -> sparse.csr_matrix:
    """Return D_u^-user_power X D_i^-item_power, in the dtype of X.

    Args:
        has: X, CSR `[users, items]`.
        user_power: Of the users' degrees.
        item_power: Of the items'.
    """
    users, items = degrees(has)
    made = has.multiply(users[:, None] ** -user_power).multiply(items[None] ** -item_power)
    return made.tocsr().astype(has.dtype)


def strongest(weights: sparse.csr_matrix, most: int, first: int = 0) -> sparse.csr_matrix:
    """Return the largest weights of each row alone, without an item's own.

    Args:
        weights: CSR `[rows, items]`, above 0.
        most: How many a row keeps; ties go to the lower column.
        first: The item of the first row.
    """
    columns, values, starts = list[NDArray[np.int32]](), list[NDArray[np.float32]](), [0]
    weights.sort_indices()
    for row, (start, end) in enumerate(zip(weights.indptr[:-1], weights.indptr[1:], strict=True)):
        to, value = weights.indices[start:end], weights.data[start:end]
        others = to != row + first
        to, value = to[others], value[others]
        if len(to) > most:
            least = np.partition(value, len(value) - most)[len(value) - most]
            kept = value > least
            ties = np.flatnonzero(value == least)[: most - int(kept.sum())]
            kept[ties] = True
            to, value = to[kept], value[kept]
        columns.append(to.astype(np.int32))
        values.append(value)
        starts.append(starts[-1] + len(to))
    parts = (np.concatenate(values), np.concatenate(columns), np.array(starts, np.int32))
    return sparse.csr_matrix(parts, shape=weights.shape)


def strongest_products(
    rows: sparse.csr_matrix, columns: sparse.csr_matrix, most: int, until: int | None = None
) -> sparse.csr_matrix:
    """Return the largest entries of each row of `rows @ columns`, without an item's own, a block of rows at a time.

    Args:
        rows: CSR `[items, users]`, from 0 up.
        columns: CSR `[users, items]`, the same.
        most: How many a row keeps.
        until: The first row that is left out; None: all are made.
    """
    until = rows.shape[0] if until is None else until
    step = max(1, min(_ROWS, BLOCK_BYTES // (12 * columns.shape[1])))
    blocks = []
    for start in range(0, until, step):
        block = (rows[start : min(start + step, until)] @ columns).tocsr()
        blocks.append(strongest(block, most, first=start))
    return sparse.vstack(blocks, format="csr")


def co_occurrences(table: PairTable) -> float:
    """Return how many multiply-adds X^T X takes: the sum of the squares of what users have."""
    return float((np.diff(table.train.indptr).astype(np.float64) ** 2).sum())


def items_too_large(needed: float) -> str:
    """Return why weights of items by items do not fit into this machine, or an empty string where they do.

    Args:
        needed: Bytes.
    """
    has = available(torch.device("cpu"))
    if has is None or needed <= 0.8 * has:
        return ""
    return f"it needs about {needed / 2**30:,.0f} GiB for matrices of items x items, and there are {has / 2**30:,.0f}"

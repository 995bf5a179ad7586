"""EASE of a catalogue that is too large for items by items: each item is explained by the items nearest to it."""

import time
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import solve

from sif.rivals.base import Rival
from sif.rivals.linear import shared_penalty, user_weights
from sif.rivals.method import Fitted, Method, Settings, by_products, grid_of
from sif.rivals.pair_table import PairTable
from sif.rivals.sparse_items import BLOCK_BYTES, co_occurrences, degrees, items_too_large, strongest_products

__all__ = ["SPARSE_EASE", "nearest_items", "sparse_ease_weights"]

_TIMED = 16  # items of which it is told how long all take
_WHOLE = 6_000  # items up to which the counts of all pairs are made: 288 MiB, of which those of some are read at once


def nearest_items(has: sparse.csr_matrix, neighbours: int, until: int | None = None) -> sparse.csr_matrix:
    """Return the cosines of each item with the items nearest to it, CSR `[items, items]`, without itself.

    Args:
        has: What users have, CSR float `[users, items]`.
        neighbours: How many an item keeps, at most, of those that a user has beside it; ties go to the lower item.
        until: The first item that is left out; None: all have their neighbours.
    """
    columns = has.multiply(degrees(has)[1][None] ** -0.5).tocsr().astype(np.float32)
    return strongest_products(columns.T.tocsr(), columns, neighbours, until)


def sparse_ease_weights(
    has: sparse.csr_matrix, penalty: float, neighbours: int, user_power: float = 0.0, dropout: float = 0.0
) -> sparse.csr_matrix:
    """Return the item weights B, CSR float32 `[items, items]`, of ridge regressions on neighbours.

    Column j holds the w over the neighbours N of item j that minimise ||x_j - X_N w||^2 + penalty ||w||^2: the
    submatrix approximation of Steck 2019 (arXiv:1910.09645, section 3.2), each item with its own submatrix. With all
    items as neighbours it is EASE; only items that some user has both of can be.

    Args:
        has: What users have, CSR of ones `[users, items]`.
        penalty: Of the weights.
        neighbours: How many an item is explained by, at most: those of the largest cosine.
        user_power: How much less users count who have much (`user_weights`).
        dropout: Of the input, as a penalty (`shared_penalty`).
    """
    near, weighed = nearest_items(has, neighbours), has.astype(np.float64)
    if user_power:
        weighed = has.multiply(np.sqrt(user_weights(has, user_power))[:, None]).tocsr()
    items = weighed.T.tocsr()
    whole = (items @ items.T).toarray() if len(items.indptr) - 1 <= _WHOLE else None
    values = np.zeros(near.nnz, np.float32)
    for item, (start, end) in enumerate(zip(near.indptr[:-1], near.indptr[1:], strict=True)):
        if start < end:
            together, wanted = _counts(items, whole, near.indices[start:end], item)
            own = together.diagonal()
            together[np.diag_indices(end - start)] = own + shared_penalty(penalty, dropout, own)
            values[start:end] = solve(together, wanted, assume_a="pos", overwrite_a=True, check_finite=False)
    return sparse.csr_matrix((values, near.indices, near.indptr), shape=near.shape).T.tocsr()


def _counts(
    items: sparse.csr_matrix, whole: NDArray[np.float64] | None, some: NDArray[np.int32], item: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many users have both of two of some items, and of these and an item."""
    if whole is not None:
        return whole[np.ix_(some, some)], whole[some, item]
    own = items[some]
    return (own @ own.T).toarray(), (own @ items[[item]].T).toarray().ravel()


def _fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
    weights = sparse_ease_weights(table.weights(np.float32), **settings)
    return Fitted(by_products(table, weights), int(weights.nnz))


def _bytes(table: PairTable) -> float:
    return 3 * 8 * table.n_items * 400 + BLOCK_BYTES + (2 * 8 * table.n_items**2 if table.n_items <= _WHOLE else 0)


_SECONDS: WeakKeyDictionary[PairTable, float] = WeakKeyDictionary()
"""Of a table what the system of one item takes."""


def _seconds(table: PairTable) -> float:
    """The neighbours, then a system of each item: of many items timed on a few, as it depends on who meets whom."""
    near = co_occurrences(table) / 2e8
    if table.n_items <= _WHOLE:  # counts are read, not made
        return near + 6e-4 * table.n_items
    if table not in _SECONDS:
        order = np.random.default_rng(0).permutation(table.n_items)  # so that the first are any
        has = table.weights(np.float32)[:, order].tocsr()
        some, items = nearest_items(has, 200, _TIMED), has.T.tocsr().astype(np.float64)
        began = time.perf_counter()
        for item, (start, end) in enumerate(zip(some.indptr[:-1], some.indptr[1:], strict=True)):
            if start < end:
                together, wanted = _counts(items, None, some.indices[start:end], item)
                solve(together + np.eye(end - start), wanted, assume_a="pos", check_finite=False)
        _SECONDS[table] = (time.perf_counter() - began) / _TIMED
    return near + _SECONDS[table] * table.n_items


SPARSE_EASE = Rival(
    "sparse-ease",
    "Steck 2019, arXiv:1910.09645",
    method=Method(
        _fit,
        grid_of(
            {"penalty": 60.0, "neighbours": 200, "user_power": 0.5, "dropout": 0.5},
            penalty=(15.0, 30.0, 60.0, 125.0, 250.0, 500.0, 1000.0),
            neighbours=(25, 50, 100, 200, 400),
            user_power=(0.0, 0.25, 0.5, 0.75, 1.0),
            dropout=(0.0, 0.25, 0.5, 0.75),
        ),
        "ridge regressions on neighbours, written here",
        deterministic=True,
        refuse=lambda table: items_too_large(_bytes(table)),
        cost=_seconds,
    ),
)

"""EASE and SLIM: scores from the counts of pairs of items."""

import numpy as np
import torch
from scipy import sparse
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from sif.rivals.base import Rival
from sif.rivals.method import Fitted, Method, Settings, by_products, grid_of
from sif.rivals.pair_table import PairTable
from sif.rivals.slim import slim_weights
from sif.rivals.sparse_items import items_too_large

__all__ = ["EASE", "SLIM", "ease_weights"]

_FEW = 1 / 8  # of SLIM's weights that are not zero: below this a sparse matrix is smaller and as fast
_ROWS = 512  # of a matrix that are mirrored at once
_DOUBLE = 6_000  # items up to which EASE is solved in float64: its conditioning costs float32 some three digits


def _together(table: PairTable, dtype: torch.dtype) -> Tensor:
    """Return how many users have both of two items, `[items, items]`."""
    train = table.weights(np.float64 if dtype == torch.float64 else np.float32)
    return torch.from_numpy((train.T @ train).toarray()).to(dtype)


def ease_weights(together: Tensor, penalty: float) -> Tensor:
    """Return the item weights B `[items, items]` that minimise ||X - XB||^2 + penalty ||B||^2 with a zero diagonal.

    `together` is X^T X, and is overwritten. Steck 2019, equations 6 to 8: with P the inverse of X^T X + penalty I,
    entry (i, j) of B is -P_ij / P_jj, and its diagonal is zero.
    """
    together.diagonal().add_(penalty)
    inverse = _inverse(together)
    inverse /= -inverse.diagonal().clone()
    inverse.fill_diagonal_(0.0)
    return inverse


def _inverse(matrix: Tensor) -> Tensor:
    """Return the inverse of a symmetric positive definite matrix, in its own memory: it may be most of what there is.

    Raises `numpy.linalg.LinAlgError` where it is not positive definite.
    """
    values = matrix.numpy()
    factor, inverse_of = get_lapack_funcs(("potrf", "potri"), (values,))
    found, failed = factor(values.T, lower=1, overwrite_a=1, clean=0)
    if not failed:
        found, failed = inverse_of(found, lower=1, overwrite_c=1)
    if failed:
        raise np.linalg.LinAlgError("not positive definite; give a larger penalty")
    whole = torch.from_numpy(found.T)  # its rows: the upper triangle holds the inverse
    for start in range(0, len(whole), _ROWS):
        rows = slice(start, start + _ROWS)
        whole[start + _ROWS :, rows] = whole[rows, start + _ROWS :].T
        block = whole[rows, rows]
        block.copy_(block.triu() + block.triu(1).T)
    return whole


def _ease(table: PairTable, settings: Settings, seed: int) -> Fitted:
    dtype = torch.float64 if table.n_items <= _DOUBLE else torch.float32
    weights = ease_weights(_together(table, dtype), settings["penalty"])
    return Fitted(by_products(table, weights.numpy()), table.n_items * (table.n_items - 1))


def _ease_bytes(table: PairTable) -> int:
    """The matrix, in which its inverse is made, and the sparse counts it is made from, at most twice as large."""
    return 3 * table.n_items**2 * (8 if table.n_items <= _DOUBLE else 4)


def _ease_seconds(table: PairTable) -> float:
    """A Cholesky factor and an inverse, n^3 multiply-adds, in float64 or float32."""
    return table.n_items**3 / (4e10 if table.n_items <= _DOUBLE else 8e10)


def _slim_bytes(table: PairTable) -> int:
    return 6 * table.n_items**2 * 4


EASE = Rival(
    "ease",
    "Steck 2019, arXiv:1905.03375",
    method=Method(
        _ease,
        # Steck reports 200 to 1000 on data of 20 to 100 million pairs; smaller data want less, dense ones more.
        tuple({"penalty": float(penalty)} for penalty in (500, 250, 1000, 125, 2000, 60, 4000, 30)),
        "closed form, written here",
        deterministic=True,
        refuse=lambda table: items_too_large(_ease_bytes(table)),
        cost=_ease_seconds,
    ),
)


def _slim(table: PairTable, settings: Settings, seed: int) -> Fitted:
    share, l1_share = settings["alpha"] * table.n_users, settings["l1_ratio"]
    weights = slim_weights(_together(table, torch.float32), l1=share * l1_share, l2=share * (1 - l1_share))
    kept = int((weights != 0).sum())
    few = kept < _FEW * weights.numel()
    return Fitted(by_products(table, sparse.csr_matrix(weights.numpy()) if few else weights.numpy()), kept)


SLIM = Rival(
    "slim",
    "Ning and Karypis 2011",
    method=Method(
        _slim,
        # In the terms of an elastic net: alpha per user, and the share of the l1 penalty. Far smaller l1 leaves columns
        # dense, which is EASE without negative weights, at a hundred times its price.
        grid_of(
            {"alpha": 0.2, "l1_ratio": 0.02},
            alpha=(0.05, 0.1, 0.2, 0.5),
            l1_ratio=(0.005, 0.01, 0.02, 0.05, 0.1),
        ),
        "non-negative elastic net, solved here to its optimality conditions",
        deterministic=True,
        refuse=lambda table: items_too_large(_slim_bytes(table)),
        cost=lambda table: 5 * _ease_seconds(table),
    ),
)

"""EASE and SLIM: scores from the counts of pairs of items."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import get_lapack_funcs
from torch import Tensor

from sif.rivals.base import Rival
from sif.rivals.method import Fitted, Method, Settings, by_products, grid_of
from sif.rivals.pair_table import PairTable
from sif.rivals.slim import slim_weights
from sif.rivals.sparse_items import degrees, items_too_large

__all__ = ["EASE", "SLIM", "ease_weights", "shared_penalty", "user_weights"]

_FEW = 1 / 8  # of SLIM's weights that are not zero: below this a sparse matrix is smaller and as fast
_ROWS = 512  # of a matrix that are mirrored at once
_DOUBLE = 6_000  # items up to which EASE is solved in float64: its conditioning costs float32 some three digits


def user_weights(has: sparse.csr_matrix, power: float) -> NDArray[np.float64]:
    """Return what a user's errors count, float64 `[users]`: d_u^-power, scaled so that pairs count 1 in the mean.

    Args:
        has: What users have, CSR of ones `[users, items]`; d_u is how much that is.
        power: 0: all users count alike, so that those who have much decide most.
    """
    weights = degrees(has)[0] ** -power
    return np.asarray(weights * (has.nnz / (weights * np.diff(has.indptr)).sum()))


def shared_penalty(penalty: float, dropout: float, own: Any) -> Any:
    """Return the penalty of each item's weights: `penalty`, and what dropout of the input adds to it.

    Steck 2020 (Autoencoders that don't overfit towards the identity, NeurIPS): to leave out each item of an input with
    chance p is, with a zero diagonal of the weights, a penalty of p / (1 - p) times the diagonal of X^T X.

    Args:
        penalty: That all items share.
        dropout: p, from 0 to below 1.
        own: The diagonal of X^T X, `[items]`.
    """
    return penalty + dropout / (1 - dropout) * own


def _together(table: PairTable, dtype: torch.dtype, user_power: float = 0.0) -> Tensor:
    """Return how many users have both of two items, `[items, items]`, each user counted by their weight."""
    train = table.weights(np.float64 if dtype == torch.float64 else np.float32)
    weighed = train
    if user_power:
        weighed = train.multiply(user_weights(train, user_power)[:, None]).tocsr().astype(train.dtype)
    return torch.from_numpy((train.T @ weighed).toarray()).to(dtype)


def ease_weights(together: Tensor, penalty: float | Tensor) -> Tensor:
    """Return the item weights B `[items, items]` that minimise ||X - XB||^2 + penalty ||B||^2 with a zero diagonal.

    `together` is X^T X, and is overwritten. Steck 2019, equations 6 to 8: with P the inverse of X^T X + penalty I,
    entry (i, j) of B is -P_ij / P_jj, and its diagonal is zero. A penalty `[items]` is that of each row of B.
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
    together = _together(table, dtype, settings.get("user_power", 0.0))
    own = together.diagonal().clone()
    weights = ease_weights(together, shared_penalty(settings["penalty"], settings.get("dropout", 0.0), own))
    return Fitted(by_products(table, weights.numpy()), table.n_items * (table.n_items - 1))


def _ease_bytes(table: PairTable) -> int:
    """The matrix, in which its inverse is made, and the sparse counts it is made from, at most twice as large."""
    return 3 * table.n_items**2 * (8 if table.n_items <= _DOUBLE else 4)


def _ease_seconds(table: PairTable) -> float:
    """A Cholesky factor and an inverse, n^3 multiply-adds, in float64 or float32."""
    return table.n_items**3 / (4e10 if table.n_items <= _DOUBLE else 8e10)


def _slim_bytes(table: PairTable) -> int:
    return 6 * table.n_items**2 * 4


_PLAIN = {"penalty": 500.0, "user_power": 0.0, "dropout": 0.0}
_EASE_GRID = grid_of(
    {"penalty": 125.0, "user_power": 0.5, "dropout": 0.5},
    penalty=(30.0, 60.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0),
    user_power=(0.0, 0.25, 0.5, 0.75, 1.0),
    dropout=(0.0, 0.25, 0.5, 0.75),
)

EASE = Rival(
    "ease",
    "Steck 2019, arXiv:1905.03375",
    method=Method(
        _ease,
        # Plain EASE first, which has one setting: Steck reports 200 to 1000 on data of 20 to 100 million pairs. Then
        # its neighbours: on most tables it pays to count users with long histories less, and to drop out of inputs.
        (_PLAIN, *(point for point in _EASE_GRID if point != _PLAIN)),
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

"""PureSVD: what users have, through its own first singular vectors and back."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sif.rivals.base import Rival
from sif.rivals.method import Fitted, Method, Settings
from sif.rivals.pair_table import PairTable
from sif.rivals.sparse_items import items_too_large
from sif.serve.item_factors import ItemFactors, Term

__all__ = ["PURE_SVD", "right_vectors", "svd_seconds"]

_STEPS, _MORE = 6, 16  # of the iteration, and vectors beyond those that are wanted


def right_vectors(matrix: sparse.csr_matrix, rank: int) -> NDArray[np.float32]:
    """Return the first right singular vectors, float32 `[columns, rank]`; fewer where the matrix has fewer.

    By subspace iteration from a fixed start (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1); a matrix of
    few columns is decomposed as it is. Signs are those that make each vector's largest entry positive.

    Args:
        matrix: CSR float `[rows, columns]`.
        rank: How many vectors.
    """
    rows, columns = matrix.shape
    rank = min(rank, rows, columns)
    if 2 * (rank + _MORE) >= min(rows, columns):
        vectors = np.linalg.svd(matrix.toarray().astype(np.float64), full_matrices=False)[2][:rank].T
    else:
        back = matrix.T.tocsr()
        basis = np.random.default_rng(0).standard_normal((columns, rank + _MORE)).astype(matrix.dtype)
        for _ in range(_STEPS):
            basis, _ = np.linalg.qr(back @ (matrix @ basis))
        inner = matrix @ basis
        vectors = basis @ np.linalg.eigh((inner.T @ inner).astype(np.float64))[1][:, ::-1][:, :rank]
    signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(rank)])
    return np.ascontiguousarray(vectors * signs, dtype=np.float32)


def svd_seconds(table: PairTable, rank: int) -> float:
    """Return roughly how long `right_vectors` takes on a table.

    Args:
        table: The pairs.
        rank: How many vectors.
    """
    wide = rank + _MORE
    return _STEPS * (4 * int(table.train.nnz) * wide / 1e9 + 6 * table.n_items * wide**2 / 2e10)


def _fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
    """Cremonesi, Koren and Turrin 2010, equation 12: scores are x Q Q^T, Q the first right singular vectors of X."""
    has = table.weights(np.float32, confident=True)
    vectors = right_vectors(has, settings["factors"])
    return Fitted(ItemFactors(has, (Term(vectors),), table.weighing), vectors.size)


PURE_SVD = Rival(
    "puresvd",
    "Cremonesi, Koren and Turrin 2010, doi:10.1145/1864708.1864721",
    method=Method(
        _fit,
        # The paper has 50 and 150 factors on MovieLens 1M, 150 and 300 on Netflix.
        tuple({"factors": factors} for factors in (50, 150, 25, 100, 300, 12, 75, 200, 512)),
        "subspace iteration, written here",
        deterministic=True,
        refuse=lambda table: items_too_large(4 * (table.n_items + table.n_users) * 3 * 512),
        cost=lambda table: svd_seconds(table, 50),
        weighted=True,
    ),
)

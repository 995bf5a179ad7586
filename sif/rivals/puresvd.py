"""PureSVD: what users have, through its own first singular vectors and back."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from sif.rivals.base import Rival
from sif.rivals.method import Fitted, Method, Settings
from sif.rivals.pair_table import PairTable
from sif.rivals.sparse_items import items_too_large
from sif.serve.item_factors import ItemFactors, Term

__all__ = ["PURE_SVD", "right_vectors", "svd_seconds"]

_DENSE = 1 << 24  # entries of a matrix that is decomposed whole
_TOLERANCE = 1e-3  # of the eigenvalues: what comes out is a subspace, whose last places decide little


def right_vectors(matrix: sparse.csr_matrix, rank: int) -> NDArray[np.float32]:
    """Return the first right singular vectors, float32 `[columns, rank]`; fewer where the matrix has fewer.

    By ARPACK's Lanczos iteration on matrix^T matrix from a fixed start, or where a large share of all is wanted by the
    whole decomposition. Signs are those that make each vector's largest entry positive.

    Args:
        matrix: CSR float `[rows, columns]`.
        rank: How many vectors.
    """
    rows, columns = matrix.shape
    rank = min(rank, rows, columns)
    if rank >= columns or (3 * rank >= min(rows, columns) and rows * columns <= _DENSE):
        vectors = np.linalg.svd(matrix.toarray().astype(np.float64), full_matrices=False)[2][:rank].T
    else:
        back = matrix.T.tocsr()
        square = LinearOperator((columns, columns), matvec=lambda x: back @ (matrix @ x), dtype=matrix.dtype)
        start = np.random.default_rng(0).standard_normal(columns).astype(matrix.dtype)
        vectors = eigsh(square, k=rank, v0=start, tol=_TOLERANCE)[1][:, ::-1]
    signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(rank)])
    return np.ascontiguousarray(vectors * signs, dtype=np.float32)


def svd_seconds(table: PairTable, rank: int) -> float:
    """Return roughly how long `right_vectors` takes on a table.

    Args:
        table: The pairs.
        rank: How many vectors.
    """
    return int(table.train.nnz) * rank * 1.2e-8 + table.n_items * rank**2 * 1e-8


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
        "singular vectors from scipy",
        deterministic=True,
        refuse=lambda table: items_too_large(4 * (table.n_items + table.n_users) * 3 * 512),
        cost=lambda table: svd_seconds(table, 50),
        weighted=True,
    ),
)

"""RP3beta: random walks of three steps from a user to items, those of popular ends made less likely."""

import numpy as np
from scipy import sparse

from sif.rivals.base import Rival
from sif.rivals.method import Fitted, Method, Settings, by_products, grid_of
from sif.rivals.pair_table import PairTable
from sif.rivals.sparse_items import BLOCK_BYTES, co_occurrences, degrees, items_too_large, strongest_products

__all__ = ["RP3BETA", "walk_weights"]


def walk_weights(has: sparse.csr_matrix, alpha: float, beta: float, neighbours: int) -> sparse.csr_matrix:
    """Return W `[items, items]`, w_ij = sum_u (p_iu p_uj)^alpha / d_j^beta, the `neighbours` largest of each row.

    Paudel, Christoffel, Newell and Bernstein 2017, equation 4: p_iu is the chance of a step from an item to one of its
    users, p_uj that from a user to one of their items, d_j the item's number of users. The diagonal is zero.

    Args:
        has: What users have, CSR float `[users, items]`, above 0.
        alpha: Of the chances.
        beta: Of the popularity; 0 leaves the walk as it is (P3alpha).
        neighbours: How many weights a row keeps.
    """
    users, items = degrees(has)
    to_items = has.multiply(users[:, None] ** -1.0).power(alpha).tocsr()
    to_users = has.multiply(items[None] ** -1.0).power(alpha).T.tocsr()
    to_items = to_items.multiply(items[None] ** -beta).tocsr()
    return strongest_products(to_users, to_items, neighbours).astype(has.dtype)


def _fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
    weights = walk_weights(table.weights(np.float32, confident=True), **settings)
    return Fitted(by_products(table, weights, confident=True), int(weights.nnz))


RP3BETA = Rival(
    "rp3beta",
    "Paudel et al. 2017, doi:10.1145/2955101",
    method=Method(
        _fit,
        # The paper tunes both by table; a walk as it is has alpha = 1. The middle does well on sparse tables.
        grid_of(
            {"neighbours": 400, "alpha": 0.6, "beta": 0.4},
            beta=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
            alpha=(0.4, 0.6, 0.8, 1.0, 1.5),
            neighbours=(25, 50, 100, 200, 400, 800),
        ),
        "sparse products, written here",
        deterministic=True,
        refuse=lambda table: items_too_large(12 * table.n_items * 800 + BLOCK_BYTES),
        cost=lambda table: co_occurrences(table) / 2e8 + table.n_items * 1e-4,
        weighted=True,
    ),
)

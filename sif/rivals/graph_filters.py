"""Filters on the graph of items, without any training: GF-CF, Turbo-CF, and BSPM, which sharpens what they blur."""

import time
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sif.rivals.base import Rival
from sif.rivals.method import Fitted, Method, Settings, by_products, grid_of
from sif.rivals.pair_table import PairTable
from sif.rivals.puresvd import right_vectors
from sif.rivals.sparse_items import co_occurrences, degrees, items_too_large, normalised
from sif.serve.item_factors import ItemFactors, Term

__all__ = ["BSPM", "GF_CF", "POLYNOMIALS", "TURBO_CF"]

_WHOLE = 8_192  # items up to which weights of items by items are made: 256 MiB, which products use faster
_POWERED = 2_048  # items up to which they are made where a power of them is wanted, which takes their cube
POLYNOMIALS = {1: (1.0,), 2: (2.0, -1.0), 3: (0.71, 0.1, -0.01)}
"""Coefficients of P, P^2, P^3 by order: linear, second order, and Turbo-CF's P + 0.01 (-P^3 + 10 P^2 - 29 P)."""


@dataclass(frozen=True, slots=True)
class _Vectors:
    """Singular vectors, what they were made of, and how long that took."""

    key: tuple[float, ...]
    values: NDArray[np.float32]
    seconds: float


_VECTORS: WeakKeyDictionary[PairTable, _Vectors] = WeakKeyDictionary()
"""The last of each table: most neighbours on a grid have the same ones."""


def _vectors(
    table: PairTable, graph: sparse.csr_matrix, settings: Settings, rank: int
) -> tuple[NDArray[np.float32], float]:
    """Return the first right singular vectors of a table's normalised graph, and the seconds spared to make them."""
    key = settings["user_power"], settings["item_power"], float(rank)
    known = _VECTORS.get(table)
    if known is not None and known.key == key:
        return known.values, known.seconds
    began = time.perf_counter()
    made = right_vectors(graph, rank)
    _VECTORS[table] = _Vectors(key, made, time.perf_counter() - began)
    return made, 0.0


def _gf_cf(table: PairTable, settings: Settings, seed: int) -> Fitted:
    """Shen et al. 2021, equation 9: x (R^T R + ideal D_i^-1/2 V V^T D_i^1/2), V the first right vectors of R."""
    has = table.weights(np.float32, confident=True)
    graph = normalised(has, settings["user_power"], settings["item_power"])
    terms, spared = [Term(graph.T.tocsr(), graph, POLYNOMIALS[settings["order"]])], 0.0
    if settings["ideal"]:
        vectors, spared = _vectors(table, graph, settings, settings["rank"])
        scale = degrees(has)[1][:, None] ** settings["item_power"]
        left = settings["ideal"] * vectors / scale
        terms.append(Term(left.astype(np.float32), np.ascontiguousarray((vectors * scale).T, dtype=np.float32)))
    return replace(_fitted(table, has, terms), known=spared)


def _bspm(table: PairTable, settings: Settings, seed: int) -> Fitted:
    """Choi et al. 2023, equations 6 to 12 in one Euler step each: blurred by G and by the ideal filter, then sharpened.

    With P = D_i^-(q + tilt) X^T D_u^-2p X D_i^-(q - tilt), its largest eigenvalue made 1, and I the ideal filter of
    GF-CF: scores are the mean of x P and of (x P + b x I) (1 - T P), which is x (P - T/2 P^2 + b/2 I (1 - T P)). The
    paper has p = q = .5, tilt 0, b = .3, T = 1.2 on Yelp2018.
    """
    has = table.weights(np.float32, confident=True)
    graph = normalised(has, settings["user_power"], settings["item_power"])
    vectors, spared = _vectors(table, graph, settings, settings["rank"] if settings["ideal"] else 1)
    graph = graph / np.float32(np.linalg.norm(graph @ vectors[:, 0]))
    degree, tilt = degrees(has)[1].astype(np.float32), np.float32(settings["tilt"])
    left = graph.multiply(degree[None] ** -tilt).T.tocsr().astype(np.float32)
    right = graph.multiply(degree[None] ** tilt).tocsr().astype(np.float32)
    half = settings["sharpen"] / 2
    terms = [Term(left, right, (1.0, -half) if half else (1.0,))]
    if settings["ideal"]:
        scale = degree[:, None] ** np.float32(settings["item_power"])
        back = np.ascontiguousarray((vectors * scale).T, dtype=np.float32)
        sharp = back - np.float32(2 * half) * np.asarray((back @ left) @ right) if half else back
        terms.append(Term((settings["ideal"] / 2 * vectors / scale).astype(np.float32), sharp.astype(np.float32)))
    return replace(_fitted(table, has, terms), known=spared)


def _fitted(table: PairTable, has: sparse.csr_matrix, terms: list[Term]) -> Fitted:
    """Return the sum of terms: as weights of items by items of a small catalogue, in factors of a large one."""
    learnt = sum(term.left.size for term in terms)
    powered = any(len(term.powers) > 1 for term in terms)
    if table.n_items <= (min(_POWERED, _WHOLE) if powered else _WHOLE):
        whole = np.asarray(sum(term.weights() for term in terms), np.float32)
        return Fitted(by_products(table, whole, confident=True), learnt)
    return Fitted(ItemFactors(has, terms, table.weighing), learnt)


def _turbo_cf(table: PairTable, settings: Settings, seed: int) -> Fitted:
    """Park et al. 2024, equations 3 to 5: x P, P the element-wise power s of R^T R, R = D_u^-alpha X D_i^(alpha-1)."""
    graph = normalised(table.weights(np.float32, confident=True), settings["alpha"], 1 - settings["alpha"])
    product = (graph.T @ graph).tocsr()
    product.data **= np.float32(settings["power"])
    few = product.nnz < product.shape[0] ** 2 / 3  # below this a CSR is the smaller
    weights = product if few else product.toarray()
    return Fitted(by_products(table, weights, confident=True), int(product.nnz))


def _gf_cf_seconds(table: PairTable) -> float:
    """Of a small catalogue the product and its use; of a large one the three steps of who is judged."""
    if table.n_items <= _WHOLE:
        return co_occurrences(table) / 1e8 + int(table.train.nnz) * table.n_items / 2e9
    has, judged = table.weights(np.float64), np.count_nonzero(np.diff(table.valid.indptr)) / table.n_users
    return float((has.T @ np.diff(has.indptr)) @ table.counts()) / 2.5e8 * judged


def _bspm_seconds(table: PairTable) -> float:
    """As `_gf_cf_seconds`; of a large catalogue who is judged goes through the graph once more, with all items."""
    judged = np.count_nonzero(np.diff(table.valid.indptr))
    return _gf_cf_seconds(table) + (2 * judged * int(table.train.nnz) / 1e9 if table.n_items > _POWERED else 0.0)


def _product_bytes(table: PairTable) -> float:
    """The product in sparse form, twice while it is made; no pair of items is in it more often than once."""
    return 2 * 12 * min(float(table.n_items) ** 2, co_occurrences(table))


_LINEAR = {"order": 1, "user_power": 0.5, "item_power": 0.5, "ideal": 0.0, "rank": 256}
_SPARSE = {"user_power": 0.2, "item_power": 0.4}

GF_CF = Rival(
    "gf-cf",
    "Shen et al. 2021, arXiv:2108.07567",
    method=Method(
        _gf_cf,
        # First what the paper has for Amazon-Book, the linear filter alone; then exponents that do far better on
        # tables as sparse as Amazon-CDs. Its ideal filter, for Gowalla and Yelp2018, brings less and costs an SVD.
        (
            _LINEAR,
            _LINEAR | _SPARSE,
            *(
                _LINEAR | dict(at)
                for at in grid_of(
                    {"user_power": 0.5, "item_power": 0.5},
                    item_power=(0.3, 0.4, 0.5, 0.6, 0.7),
                    user_power=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
                )[1:]
                if at != _SPARSE
            ),
            *(_LINEAR | {"ideal": 0.3, "rank": rank} for rank in (256, 64, 32, 512)),
            *(_LINEAR | {"ideal": 0.3, "item_power": power} for power in (0.4, 0.6)),
            *(_LINEAR | {"order": order} for order in (2, 3)),
        ),
        "products of sparse matrices, written here",
        deterministic=True,
        refuse=lambda table: items_too_large(4 * (table.n_items + table.n_users) * 3 * 512),
        cost=_gf_cf_seconds,
        weighted=True,
    ),
)

_POWERS = tuple(
    dict(point)
    for point in grid_of(
        {"user_power": 0.35, "item_power": 0.4, "tilt": 0.0, "sharpen": 0.8},
        user_power=(0.15, 0.25, 0.35, 0.5),
        item_power=(0.3, 0.4, 0.5),
        sharpen=(0.0, 0.4, 0.8, 1.2, 1.6),
        tilt=(0.0, 0.1, 0.2),
    )
)

BSPM = Rival(
    "bspm",
    "Choi et al. 2023, arXiv:2211.09324",
    method=Method(
        _bspm,
        # Without the ideal filter first, which costs a decomposition; weaker powers of the users than the paper's 0.5
        # were better on validation of Yelp2018 (0.35) and of Amazon-CDs (0.25, with a tilt).
        (
            *(point | {"ideal": 0.0, "rank": 384} for point in _POWERS),
            *(point | {"ideal": 0.3, "rank": rank} for rank in (384, 128, 32) for point in _POWERS),
        ),
        "products of sparse matrices, written here",
        deterministic=True,
        refuse=lambda table: items_too_large(4 * (table.n_items + table.n_users) * 3 * 384),
        cost=_bspm_seconds,
        weighted=True,
    ),
)

TURBO_CF = Rival(
    "turbo-cf",
    "Park et al. 2024, arXiv:2404.14243",
    method=Method(
        _turbo_cf,
        # The filters of higher order are points of gf-cf, which takes powers of the product without making it.
        grid_of(
            {"alpha": 0.5, "power": 1.0},
            power=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4),
            alpha=(0.3, 0.4, 0.5, 0.6, 0.7),
        ),
        "one sparse product, written here",
        deterministic=True,
        refuse=lambda table: items_too_large(_product_bytes(table)),
        cost=lambda table: co_occurrences(table) / 1e8 + int(table.train.nnz) * table.n_items / 2e9,
        weighted=True,
    ),
)

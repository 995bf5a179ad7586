"""Item-kNN, ALS and BPR from the package implicit, on one thread."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sif.operations.tables import FoldedSide, Tables
from sif.rivals.base import Rival
from sif.rivals.method import Fitted, Method, Settings, by_products, grid_of
from sif.rivals.pair_table import PairTable
from sif.rivals.sparse_items import co_occurrences
from sif.serve.folding import Folded
from sif.serve.rows import AlsRows

__all__ = ["ALS", "BPR", "ITEM_KNN"]

_INSTALL = "pip install 'sif-nas[implicit]'"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep BLAS to one thread: its own threads and implicit's get in each other's way, and implicit warns of it.

    implicit also warns, about its own nearest neighbours, of a matrix that it made itself.
    """
    import threadpoolctl

    with threadpoolctl.threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Method expects CSR input")
        yield


def _item_knn(table: PairTable, settings: Settings, seed: int) -> Fitted:
    from implicit import nearest_neighbours

    kinds = {
        "cosine": nearest_neighbours.CosineRecommender,
        "tfidf": nearest_neighbours.TFIDFRecommender,
        "bm25": nearest_neighbours.BM25Recommender,
    }
    # implicit counts an item among its own neighbours; masked items need no score, so it is dropped afterwards.
    with _one_thread():
        model = kinds[settings["similarity"]](K=settings["neighbours"] + 1, num_threads=1)
        model.fit(table.weights(confident=True), show_progress=False)
    similarity = model.similarity.tolil()
    similarity.setdiag(0.0)
    weights = similarity.tocsr().T.tocsr()
    weights.eliminate_zeros()
    return Fitted(by_products(table, weights.astype("float32"), confident=True), int(weights.nnz))


ITEM_KNN = Rival(
    "itemknn",
    "Sarwar et al. 2001",
    method=Method(
        _item_knn,
        grid_of(
            {"similarity": "tfidf", "neighbours": 100},
            neighbours=(20, 50, 100, 200, 400),
            similarity=("cosine", "tfidf", "bm25"),
        ),
        "similarities from implicit, summed over an item's own nearest neighbours",
        deterministic=True,
        package="implicit",
        install=_INSTALL,
        weighted=True,
        cost=lambda table: co_occurrences(table) / 1e8 + table.n_items * 1e-4,
    ),
)


def _factorised(table: PairTable, model: type, settings: Settings, seed: int, als: AlsRows | None = None) -> Fitted:
    """Fit a factorisation of implicit's; scores are inner products of its factors."""
    with _one_thread():
        made = model(**settings, random_state=seed, num_threads=1)
        made.fit(table.weights(confident=als is not None), show_progress=False)  # BPR knows no confidence
    users, items = torch.from_numpy(made.user_factors), torch.from_numpy(made.item_factors)
    left, right = (FoldedSide.of(factors.new_zeros(len(factors)), product=factors) for factors in (users, items))
    return Fitted(Folded(Tables(left, right), by_rows=als), users.numel() + items.numel())


def _als_seconds(table: PairTable) -> float:
    """15 iterations, of two sides, at 64 factors."""
    pairs, rows = int(table.train.nnz), table.n_users + table.n_items
    return 15 * (2 * pairs * 64**2 + rows * 64**3) / 2e10


def _als(table: PairTable, settings: Settings, seed: int) -> Fitted:
    from implicit.cpu.als import AlternatingLeastSquares

    als = AlsRows(settings["alpha"], settings["regularization"], table.weighing)
    return _factorised(table, AlternatingLeastSquares, settings, seed, als)


ALS = Rival(
    "als",
    "Hu, Koren and Volinsky 2008",
    method=Method(
        _als,
        # The weight of an observed pair is alpha (times its confidence), that of any other 1; the penalty is not scaled
        # by counts. On sparse tables alpha wants to be large, on dense ones small, under penalties that hardly change:
        # of five tables the best had alpha from 2 to 20. Well tuned it is hard to beat (Rendle et al. 2022,
        # arXiv:2110.14037).
        tuple(
            {**point, "iterations": 15}
            for point in grid_of(
                {"factors": 64, "alpha": 4.0, "regularization": 20.0},
                alpha=(1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
                regularization=(5.0, 10.0, 20.0, 40.0, 80.0),
                factors=(32, 64, 128, 256),
            )
        ),
        "implicit",
        package="implicit",
        install=_INSTALL,
        weighted=True,
        cost=_als_seconds,
    ),
)


def _bpr(table: PairTable, settings: Settings, seed: int) -> Fitted:
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    return _factorised(table, BayesianPersonalizedRanking, settings, seed)


BPR = Rival(
    "bpr",
    "Rendle et al. 2009",
    method=Method(
        _bpr,
        grid_of(
            {"factors": 32, "learning_rate": 0.003, "regularization": 0.003, "iterations": 100},
            iterations=(30, 100, 300),
            regularization=(0.001, 0.003, 0.01, 0.03),
            learning_rate=(0.001, 0.003, 0.01, 0.03),
            factors=(16, 32, 64, 128),
        ),
        "implicit, whose negatives are drawn in proportion to how often they occur",
        package="implicit",
        install=_INSTALL,
    ),
)

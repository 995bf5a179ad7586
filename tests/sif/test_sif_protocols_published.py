"""Published figures again, through our evaluator, on the published files below SIF_DATA (docs/protocols.md)."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import sparse

from sif.datasets import Interactions, Split
from sif.problems import open_recipe
from sif.protocols import PROTOCOLS, ask
from sif.recipes import load_recipe
from sif.tasks import RankingTask

pytestmark = [pytest.mark.realdata, pytest.mark.slow]


def opened(name: str, file: str) -> Any:
    """A protocol on a file, or a beginning of files, below SIF_DATA, or in a folder of it."""
    root = Path(os.environ.get("SIF_DATA", "/nowhere"))
    places = [folder for folder in (root, root / "recsys") if list(folder.glob(f"{file}*"))]
    if not places:
        pytest.skip(f"no {file} below SIF_DATA: {PROTOCOLS[name].url}")
    asked = ask(name, places[0] / file)
    recipe = load_recipe(asked.protocol.recipe, asked.changes("the protocol"))
    return open_recipe(recipe.model_copy(update={"dataset": asked.dataset}), device="cpu")


def published(name: str, table: str, method: str) -> tuple[float, ...]:
    figures = next(each for each in PROTOCOLS[name].tables if each.title == table).figures
    return next(each.values for each in figures if each.method == method)


def judged(task: RankingTask, scores_of: Callable[[NDArray[np.int64]], Any]) -> dict[str, float]:
    """The figures of the test part, by the evaluator that every run is judged by."""
    return task.evaluate(lambda asked: torch.from_numpy(np.asarray(scores_of(asked.users.numpy()))), "test")


@pytest.fixture(scope="module")
def movielens() -> Any:
    instance = opened("infinite-ae", "ml-1m.parquet")
    data, split = instance.data.interactions, instance.data.split
    assert PROTOCOLS["infinite-ae"].table_of(data.n_users, data.n_items, len(data), len(split.test)) is not None
    return instance


def ease(positives: Any, penalty: float) -> NDArray[np.float64]:
    """Item-item weights of zero diagonal by ridge regression (Steck, WWW 2019, eq. 8)."""
    gram = (positives.T @ positives).toarray()
    gram[np.diag_indices(len(gram))] += penalty
    inverse = np.linalg.inv(gram)
    weights: NDArray[np.float64] = -inverse / np.diag(inverse)
    weights[np.diag_indices(len(weights))] = 0
    return weights


def test_ease_of_the_infinite_ae_paper(movielens: Any) -> None:
    """.2988 is what a penalty of 100 gives on the published split (.2995); the best of validation, 1000, has .3346."""
    task = movielens.data.task
    train = task.positives("train").astype(float)
    for penalty, figure in ((100.0, 0.2995), (1000.0, 0.3346)):
        weights = ease(train, penalty)
        found = judged(task, lambda users, weights=weights: train[users] @ weights)["ndcg@10"]
        assert found == pytest.approx(figure, abs=2e-4)
        if penalty == 100:
            assert found == pytest.approx(published("infinite-ae", "MovieLens 1M", "EASE")[0], rel=0.01)


def redrawn(data: Interactions, seed: int) -> Split:
    """The paper's cut drawn again: of each user's rows 80/10/10 at random, and one of those drawn first to test."""
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(len(data)), data.user))
    counts = np.bincount(data.user)
    place = np.empty(len(data), np.int64)
    place[order] = np.arange(len(data)) - np.repeat(np.cumsum(counts) - counts, counts)
    counted = counts[data.user]
    part = (place >= (0.8 * counted).astype(int)).astype(int) + (place >= (0.9 * counted).astype(int))
    part[place == 0] = 2
    train, valid, test = (np.flatnonzero(part == each) for each in range(3))
    return Split(train, valid, test, "column", seed, None, f"redrawn {seed}")


def test_popularity_of_the_infinite_ae_paper(movielens: Any) -> None:
    """.1384 is what the paper's cut gives, drawn again (20 draws: .1387 +- .0012); its published split has .1435."""

    def of(task: RankingTask) -> float:
        counts = np.asarray(task.positives("train").sum(axis=0), np.float64)
        return judged(task, lambda users: np.tile(counts, (len(users), 1)))["ndcg@10"]

    data, settings = movielens.data.interactions, movielens.recipe.ranking_settings()
    assert of(movielens.data.task) == pytest.approx(0.1435, abs=1e-4)
    drawn = [of(RankingTask(data, redrawn(data, seed), settings)) for seed in range(4)]
    figure = published("infinite-ae", "MovieLens 1M", "popularity")[0]
    assert np.mean(drawn) == pytest.approx(figure, rel=0.01)
    assert np.std(drawn) < 0.0025


def test_the_official_folds_and_a_random_tenth() -> None:
    tested = set[tuple[Any, Any]]()
    for number in range(1, 6):
        opening = opened(f"ml-u{number}", "ml-100k-folds").data
        data, split = opening.interactions, opening.split
        assert (len(split.train) + len(split.valid), len(split.test)) == (80_000, 20_000)
        users, items = data.users.decode(data.user[split.test]), data.items.decode(data.item[split.test])
        tested |= set(zip(users, items, strict=True))
    assert len(tested) == 100_000
    instance = opened("random-90-10", "ml-1m.parquet")
    data, split = instance.data.interactions, instance.data.split
    assert PROTOCOLS["random-90-10"].table_of(data.n_users, data.n_items, len(data), len(split.test)) is not None


def test_the_sizes_of_amazon_cds() -> None:
    instance = opened("ultragcn", "amazon-cds")
    data, split = instance.data.interactions, instance.data.split
    assert PROTOCOLS["ultragcn"].table_of(data.n_users, data.n_items, len(data), len(split.test)) is not None


def csr(matrix: Any) -> torch.Tensor:
    rows = sparse.csr_array(matrix)
    parts = (torch.from_numpy(each) for each in (rows.indptr, rows.indices, rows.data.astype(np.float32)))
    return torch.sparse_csr_tensor(*parts, size=rows.shape)


def test_turbo_cf_on_yelp2018() -> None:
    """Scores X (2 P - P P), P = R^T R, R = D_u^-.6 X D_i^-.4: the paper's filter for this table; every third user."""
    instance = opened("lightgcn", "yelp2018")
    data, split = instance.data.interactions, instance.data.split
    assert PROTOCOLS["lightgcn"].table_of(data.n_users, data.n_items, len(data), len(split.test)) is not None
    train = instance.on_both().data.task.positives("train").astype(np.float32)
    left, right = (np.asarray(train.sum(axis=axis), np.float64) for axis in (1, 0))
    normal = sparse.diags_array(left**-0.6) @ train @ sparse.diags_array(np.maximum(right, 1) ** -0.4)
    forth, back = csr(normal), csr(normal.T)

    def filtered(scores: torch.Tensor) -> torch.Tensor:
        return back @ (forth @ scores)

    def scores_of(users: NDArray[np.int64]) -> Any:
        once = filtered(torch.from_numpy(train[users].toarray().T.copy()))
        return (2 * once - filtered(once)).T.contiguous()

    both, third = instance.on_both().data.split, data.user[split.test] % 3 == 0
    judge = RankingTask(data, replace(both, test=split.test[third]), instance.recipe.ranking_settings())
    found = judged(judge, scores_of)
    recall, ndcg = published("lightgcn", "Yelp2018", "Turbo-CF")
    assert found["recall@20"] == pytest.approx(recall, rel=0.02)
    assert found["ndcg@20"] == pytest.approx(ndcg, rel=0.02)

"""The methods of a comparison against their definitions."""

import importlib.util
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sif.compare import METHODS, Method, PairTable, by_products, grid_of
from sif.metrics import rank_metrics
from sif.rivals.factors import task_of
from sif.rivals.known import RIVALS
from sif.rivals.linear import ease_weights
from sif.rivals.slim import slim_weights

needs_implicit = pytest.mark.skipif(importlib.util.find_spec("implicit") is None, reason="implicit is not installed")

OWN = ("sparse-ease", "rp3beta", "gf-cf", "bspm", "turbo-cf", "puresvd", "ials", "elsa", "simplex")


def groups(users: int = 80, items: int = 40, seed: int = 0) -> PairTable:
    """Users of four tastes: three quarters of what they have is among the items of their own taste."""
    generator = np.random.default_rng(seed)
    taste, kind = np.arange(users)[:, None] % 4, np.arange(items) % 4
    chance = np.where(taste == kind, 0.75, 0.1) * generator.uniform(0.5, 1.0, items)
    has = generator.random((users, items)) < chance
    part = generator.choice(3, size=has.shape, p=[0.7, 0.15, 0.15])
    train, valid, test = (sparse.csr_array(has & (part == each)) for each in range(3))
    return PairTable(train, valid, test, train, sparse.csr_array(train + valid))


def dense(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.toarray(), np.float64)


def scores(method: Method, table: PairTable, point: dict[str, Any], seed: int = 0) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return method.fit(table.without_test(), point, seed).scores_of(torch.arange(table.n_users))


def test_popularity_counts_training_pairs():
    table = groups()
    result = scores(METHODS["popularity"], table, {})
    assert np.array_equal(result.numpy(), np.tile(dense(table.train).sum(0), (table.n_users, 1)))


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 1000))
@settings(deadline=None, max_examples=40)
def test_ease_is_the_minimum_of_its_problem(seed: int, penalty: float):
    """Zero diagonal; no gradient of ||X - XB||^2 / 2 + penalty ||B||^2 / 2 in any other entry (it is convex)."""
    draw = np.random.default_rng(seed)
    has = (draw.random((30, 12)) < 0.4).astype(np.float64)
    weights = ease_weights(torch.from_numpy(has.T @ has), penalty).numpy()
    gradient = has.T @ (has @ weights - has) + penalty * weights
    np.fill_diagonal(gradient, 0.0)
    assert np.abs(gradient).max() < 1e-8 * (1 + penalty)
    assert (np.diag(weights) == 0).all()


def test_ease_scores_are_sums_over_what_a_user_has():
    table = groups()
    has = dense(table.train)
    weights = ease_weights(torch.from_numpy(has.T @ has), 20.0).numpy()
    result = scores(METHODS["ease"], table, {"penalty": 20.0})
    assert result.dtype == torch.float64
    assert result.numpy() == pytest.approx(has @ weights, abs=1e-12)


def contradiction(has: np.ndarray, weights: np.ndarray, l1: float, l2: float) -> float:
    """How far weights are from the conditions of optimality of SLIM's problem, in units of pairs."""
    assert (weights >= 0).all()
    assert (np.diag(weights) == 0).all()
    gradient = has.T @ (has - has @ weights) - l1 - l2 * weights  # minus the gradient
    np.fill_diagonal(gradient, -np.inf)
    return float(max(gradient.max(), np.abs(gradient[weights > 0]).max(initial=0.0)))


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 8.0), st.floats(0.05, 50.0), st.floats(0.05, 0.8))
@settings(deadline=None, max_examples=60)
def test_slim_meets_the_conditions_of_optimality(seed: int, l1: float, l2: float, density: float):
    draw = np.random.default_rng(seed)
    has = (draw.random((60, 40)) < density * draw.random(40)).astype(np.float64)
    weights = slim_weights(torch.from_numpy(has.T @ has).float(), l1=l1, l2=l2).double().numpy()
    assert contradiction(has, weights, l1, l2) < 0.01


def test_slim_is_that_of_non_negative_least_squares():
    """A column at a time by scipy's solver of Lawson and Hanson, the penalties written as rows."""
    from scipy.optimize import nnls

    has, l1, l2 = dense(groups().train), 1.5, 4.0
    together = has.T @ has
    weights = slim_weights(torch.from_numpy(together).float(), l1=l1, l2=l2).numpy()
    for item in range(has.shape[1]):
        others = np.delete(np.arange(has.shape[1]), item)
        root = np.linalg.cholesky(together[np.ix_(others, others)] + l2 * np.eye(len(others)))
        wanted, _ = nnls(root.T, np.linalg.solve(root, together[others, item] - l1))
        assert weights[others, item] == pytest.approx(wanted, abs=1e-4)


def test_slim_without_any_pair_above_the_penalty_is_zero():
    has = dense(groups().train)
    assert not slim_weights(torch.from_numpy(has.T @ has).float(), l1=1000.0, l2=1.0).any()


def test_slim_takes_its_penalties_from_the_terms_of_an_elastic_net():
    table, point = groups(), {"alpha": 0.05, "l1_ratio": 0.2}
    has = dense(table.train)
    l1, l2 = 0.05 * 0.2 * table.n_users, 0.05 * 0.8 * table.n_users
    weights = slim_weights(torch.from_numpy(has.T @ has).float(), l1=l1, l2=l2).numpy()
    assert scores(METHODS["slim"], table, point).numpy() == pytest.approx(has @ weights, abs=1e-5)


@needs_implicit
@pytest.mark.parametrize("neighbours", [5, 39])
def test_item_knn_sums_cosines_of_each_items_nearest(neighbours: int):
    table = groups()
    has = dense(table.train)
    cosine = has.T @ has / np.sqrt(np.outer(has.sum(0), has.sum(0)))
    np.fill_diagonal(cosine, 0.0)
    result = scores(METHODS["itemknn"], table, {"similarity": "cosine", "neighbours": neighbours}).numpy()
    if neighbours == 39:  # all of them
        assert result == pytest.approx(has @ cosine, abs=1e-5)
        return
    for item in range(table.n_items):
        order = np.argsort(-cosine[:, item], kind="stable")
        last = cosine[order[neighbours - 1], item]
        if (cosine[:, item] == last).sum() == 1 or last > cosine[order[neighbours], item]:  # no tie at the end
            assert result[:, item] == pytest.approx(
                has[:, order[:neighbours]] @ cosine[order[:neighbours], item], abs=1e-5
            )


@needs_implicit
@pytest.mark.parametrize("name", ["itemknn", "als", "bpr", "ease", "slim", "biased-mf", *OWN])
def test_a_method_finds_planted_tastes(name: str):
    """Popularity cannot see the four tastes; everything else must."""
    table, method = groups(), METHODS[name]
    changes: dict[str, dict[str, Any]] = {
        "bpr": {"learning_rate": 0.1, "iterations": 300},
        "als": {"regularization": 1.0},
        "ease": {"penalty": 20.0},
        "itemknn": {"neighbours": 20},
        "puresvd": {"factors": 4},
    }
    point = dict(method.grid[0]) | changes.get(name, {})

    def judged(each: Method, at: dict[str, Any]) -> float:
        result = scores(each, table, at)
        return rank_metrics(lambda users: result[users], table.seen_test, table.test)["ndcg@10"]

    assert judged(method, point) > judged(METHODS["popularity"], {}) + 0.15


@needs_implicit
@pytest.mark.parametrize("name", ["itemknn", "als", "bpr", "ease", "slim", "biased-mf", "popularity", *OWN])
def test_seeds_change_what_is_not_deterministic(name: str):
    table, method = groups(), METHODS[name]
    first, again, other = (scores(method, table, dict(method.grid[0]), seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == method.deterministic


@pytest.mark.parametrize("name", METHODS)
def test_every_value_of_a_grid_changes_something(name: str):
    """The grid has no point twice, each point names the same settings as others of its kind, and it says its source."""
    method = METHODS[name]
    points = [tuple(sorted((key, str(value)) for key, value in point.items())) for point in method.grid]
    assert len(set(points)) == len(points) >= 1
    assert RIVALS[name].source
    assert (RIVALS[name].name, bool(method.package)) == (name, bool(method.install))


@needs_implicit
@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, {}) for name in ("itemknn", "als", "bpr", "ease", "slim", *OWN) if name not in ("gf-cf", "bspm")]
    + [
        (name, {"ideal": ideal}) for name in ("gf-cf", "bspm") for ideal in (0.0, 0.3)
    ]  # without the ideal filter it has no rank
    + [("biased-mf", {"loss": loss}) for loss in ("softmax", "bce")],
)
def test_every_setting_of_a_grid_is_read(name: str, kind: dict[str, Any]):
    """Each setting that a grid varies, changed to its other values, changes the scores."""
    table, method = groups(users=60, items=48), METHODS[name]
    short = {"epochs": 10} if name in ("biased-mf", "simplex") else {}
    points = [dict(point) | short for point in method.grid if kind.items() <= point.items()]
    base = scores(method, table, points[0])
    varied = [key for key in points[0] if any(point[key] != points[0][key] for point in points)]
    assert varied
    for key in varied:
        others = {point[key]: points[0] | {key: point[key]} for point in points if point[key] != points[0][key]}
        assert any(not torch.equal(base, scores(method, table, point)) for point in others.values()), key


def test_a_grid_begins_in_its_middle_and_ends_in_its_corners():
    grid = grid_of({"a": 2, "b": "y"}, a=(1, 2, 3), b=("x", "y"))
    assert grid[0] == {"a": 2, "b": "y"}
    assert len(grid) == 6
    far = [abs(point["a"] - 2) + (point["b"] != "y") for point in grid]
    assert far == sorted(far)


def test_scores_of_products_take_dense_and_sparse_weights():
    table = groups()
    weights = np.random.default_rng(0).random((table.n_items, table.n_items))
    wanted = dense(table.train)[[3, 1]] @ weights
    for given_ in (weights, sparse.csr_array(weights)):
        assert by_products(table, given_)(torch.tensor([3, 1])).numpy() == pytest.approx(wanted)


def test_the_task_of_a_table_has_its_parts_and_what_was_seen():
    """Pairs that were seen and do not count are neither positives nor ranked."""
    table = groups()
    seen = sparse.csr_array(table.train + sparse.csr_array(np.eye(table.n_users, table.n_items, dtype=bool)))
    task = task_of(PairTable(table.train, table.valid, table.test, seen, table.seen_test), {})
    assert (task.positives("train") != table.train).nnz == 0
    assert (task.positives("valid") != table.valid).nnz == 0
    assert (task.seen("valid") != seen).nnz == 0
    assert task.positives("test").nnz == 0


@pytest.mark.parametrize("name", ["ease", "slim", "rp3beta", "gf-cf", "turbo-cf", "puresvd", "ials", "elsa", "simplex"])
def test_a_catalogue_that_does_not_fit_is_refused_with_figures(name: str, monkeypatch: pytest.MonkeyPatch):
    table = groups()
    assert METHODS[name].refuse(table) == ""
    monkeypatch.setattr("os.sysconf", lambda what: {"SC_PAGE_SIZE": 1}.get(what, 1000))
    assert "GiB for matrices of items x items, and there are 0" in METHODS[name].refuse(table)

"""Rivals of items and factors against their textbook formulas, in dense float64 here."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from test_sif_compare_methods import dense, groups

from sif.compare import METHODS, PairTable
from sif.datasets import Interactions, Split, Vocabulary
from sif.errors import DataError
from sif.rivals import graph_filters
from sif.rivals.elsa import elsa_loss
from sif.rivals.graph_filters import POLYNOMIALS
from sif.rivals.ials import half_step
from sif.rivals.linear import shared_penalty
from sif.rivals.puresvd import right_vectors
from sif.rivals.simplex import contrastive_loss
from sif.rivals.sparse_items import normalised, strongest
from sif.rivals.walks import walk_weights
from sif.serve.folding import Folded
from sif.serve.item_factors import ItemFactors, Term
from sif.serve.rows import AlsRows, Weighing
from sif.tasks import RankingSettings, RankingTask


def weighed(seed: int = 1) -> PairTable:
    """A table whose pairs have confidences."""
    table = groups()
    values = np.random.default_rng(seed).uniform(0.2, 3.0, table.train.nnz).astype(np.float32)
    return replace(table, confidence=values / values.mean(), weighing=Weighing(1.0, float(values.mean())))


def known(table: PairTable) -> np.ndarray:
    """What users have, by confidence."""
    return dense(table.weights(np.float64, confident=True))


def fitted(name: str, table: PairTable, **changes: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return METHODS[name].fit(table.without_test(), dict(METHODS[name].grid[0]) | changes, 0)


def scores(name: str, table: PairTable, **changes: Any) -> np.ndarray:
    made: np.ndarray = fitted(name, table, **changes).scores_of(torch.arange(table.n_users)).numpy()
    return made


def graph(has: np.ndarray, user_power: float, item_power: float) -> np.ndarray:
    return has * has.sum(1, keepdims=True) ** -user_power * has.sum(0) ** -item_power


@pytest.mark.parametrize("make", [groups, weighed])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.7, 0.5)])
def test_rp3beta_is_a_walk_of_three_steps(make: Any, alpha: float, beta: float):
    table = make()
    has = known(table)
    to_user, to_item = (has / has.sum(0)) ** alpha, (has / has.sum(1, keepdims=True)) ** alpha
    weights = to_user.T @ to_item / has.sum(0) ** beta
    np.fill_diagonal(weights, 0.0)
    assert scores("rp3beta", table, alpha=alpha, beta=beta, neighbours=39) == pytest.approx(has @ weights, rel=1e-5)
    if alpha == 1 and beta == 0:  # every way out of an item is taken: the rows of a chance sum to 1
        assert (to_user.T @ to_item).sum(1) == pytest.approx(np.ones(table.n_items))
    kept = walk_weights(table.weights(np.float64, confident=True), alpha, beta, 5).toarray()
    for row in range(table.n_items):
        there = np.flatnonzero(kept[row])
        assert kept[row, there] == pytest.approx(weights[row, there])
        assert np.sort(kept[row, there]) == pytest.approx(np.sort(weights[row])[-5:])


def test_of_equal_weights_the_lower_items_are_kept_and_an_own_one_never_is():
    weights = sparse.csr_matrix(np.array([[9.0, 1.0, 1.0, 1.0], [2.0, 9.0, 0.0, 1.0], [0.0, 0.0, 9.0, 0.0]]))
    wanted = [[0, 1, 1, 0], [2, 0, 0, 1], [0, 0, 0, 0]]
    assert strongest(weights, 2).toarray().tolist() == wanted
    assert strongest(weights[1:], 2, first=1).toarray().tolist() == wanted[1:]


@pytest.mark.parametrize("make", [groups, weighed])
@pytest.mark.parametrize("order", POLYNOMIALS)
def test_gf_cf_is_a_polynomial_of_the_normalised_graph(make: Any, order: int, monkeypatch: pytest.MonkeyPatch):
    table = make()
    has = known(table)
    own = graph(has, 0.6, 0.4)
    product = own.T @ own
    wanted = {
        1: product,
        2: 2 * product - product @ product,
        3: product + 0.01 * (-product @ product @ product + 10 * product @ product - 29 * product),
    }[order]
    changes = {"order": order, "user_power": 0.6, "item_power": 0.4, "ideal": 0.0}
    for whole in (100, 0):  # weights of items by items, and the factors alone
        monkeypatch.setattr("sif.rivals.graph_filters._WHOLE", whole)
        assert scores("gf-cf", table, **changes) == pytest.approx(has @ wanted, rel=1e-4, abs=1e-5)
    assert isinstance(fitted("gf-cf", table, **changes).served, ItemFactors)


@pytest.mark.parametrize("whole", [100, 0])
def test_gf_cf_adds_an_ideal_filter(whole: int, monkeypatch: pytest.MonkeyPatch):
    """Shen et al. 2021: x (R^T R + 0.3 D^-1/2 V V^T D^1/2), V the first right singular vectors of R."""
    monkeypatch.setattr("sif.rivals.graph_filters._WHOLE", whole)
    table = groups()
    has = known(table)
    own, root = graph(has, 0.5, 0.5), np.sqrt(has.sum(0))
    vectors = np.linalg.svd(own)[2][:3].T
    wanted = has @ (own.T @ own + 0.3 * (vectors / root[:, None]) @ (vectors.T * root))
    assert scores("gf-cf", table, ideal=0.3, rank=3) == pytest.approx(wanted, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("whole", [100, 0])
@pytest.mark.parametrize(("sharpen", "ideal", "tilt"), [(1.2, 0.3, 0.0), (0.9, 0.0, 0.1), (0.0, 0.3, 0.2)])
def test_bspm_is_the_mean_of_a_blurred_and_a_sharpened_row(
    sharpen: float, ideal: float, tilt: float, whole: int, monkeypatch: pytest.MonkeyPatch
):
    """Choi et al. 2023: the mean of B1 and y - T y G, with y = B1 + b B2, B1 = x G, B2 the ideal filter."""
    monkeypatch.setattr("sif.rivals.graph_filters._WHOLE", whole)
    table = groups()
    has = known(table)
    own, items = graph(has, 0.35, 0.4), has.sum(0)
    own = own / np.linalg.svd(own)[1][0]
    product = items[:, None] ** -tilt * (own.T @ own) * items**tilt
    vectors = np.linalg.svd(own)[2][:3].T
    blurred = has @ product
    low = has @ ((vectors / items[:, None] ** 0.4) @ (vectors.T * items**0.4))
    both = blurred + ideal * low
    wanted = (blurred + both - sharpen * both @ product) / 2
    found = scores("bspm", table, user_power=0.35, item_power=0.4, tilt=tilt, sharpen=sharpen, ideal=ideal, rank=3)
    assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("user_power", "dropout"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.75, 0.25)])
def test_ease_is_a_ridge_regression_of_each_item_on_all_others(user_power: float, dropout: float):
    """Users count d_u^-power of what they have, 1 for a pair in the mean; dropout is p / (1 - p) of the own counts."""
    table = groups(users=6000)  # so many that any two items have a user in common
    has = known(table)
    degree = np.maximum(has.sum(1), 1)
    count = degree**-user_power / ((degree**-user_power * has.sum(1)).sum() / has.sum())
    assert (count[:, None] * has).sum() == pytest.approx(has.sum())
    together = has.T @ (count[:, None] * has)
    penalty = 7.0 + dropout / (1 - dropout) * together.diagonal()
    wanted = np.zeros((table.n_items, table.n_items))
    for item in range(table.n_items):
        others = np.arange(table.n_items) != item
        system = together[np.ix_(others, others)] + np.diag(penalty[others])
        wanted[others, item] = np.linalg.solve(system, together[others, item])
    settings = {"penalty": 7.0, "user_power": user_power, "dropout": dropout}
    assert scores("ease", table, **settings) == pytest.approx(has @ wanted, abs=1e-5)
    every = settings | {"neighbours": table.n_items}
    assert scores("sparse-ease", table, **every) == pytest.approx(has @ wanted, abs=1e-4), "all are neighbours"


def test_dropout_of_the_input_is_a_penalty():
    """Over all masks, with what is left scaled up, the mean error is that without dropout and the penalty's."""
    rng, chance = np.random.default_rng(0), 0.4
    has, weights = rng.random((6, 3)).round(), rng.normal(size=(3, 3))
    np.fill_diagonal(weights, 0.0)
    error = 0.0
    for mask in np.ndindex(2, 2, 2):
        likely = np.prod([1 - chance if kept else chance for kept in mask])
        error += likely * ((has - (has * mask / (1 - chance)) @ weights) ** 2).sum()
    own = (has.T @ has).diagonal()
    penalty = shared_penalty(0.0, chance, own)
    assert error == pytest.approx(((has - has @ weights) ** 2).sum() + (penalty[:, None] * weights**2).sum())


@pytest.mark.parametrize("whole", [100, 0])
def test_sparse_ease_explains_an_item_by_the_items_nearest_to_it(whole: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sif.rivals.sparse_ease._WHOLE", whole)
    table = groups()
    has = known(table)
    root = np.sqrt(has.sum(0))
    cosine = has.T @ has / np.outer(root, root)
    np.fill_diagonal(cosine, -1.0)
    wanted = np.zeros((table.n_items, table.n_items))
    for item in range(table.n_items):
        near = np.argsort(-cosine[item], kind="stable")[:4]
        some = has[:, near]
        system = some.T @ some + np.diag(2.0 + (some**2).sum(0))
        wanted[near, item] = np.linalg.solve(system, some.T @ has[:, item])
    settings = {"penalty": 2.0, "neighbours": 4, "user_power": 0.0, "dropout": 0.5}
    form = fitted("sparse-ease", table, **settings).served
    assert sparse.issparse(form.weights)
    assert form.weights.nnz == 4 * table.n_items
    assert scores("sparse-ease", table, **settings) == pytest.approx(has @ wanted, abs=1e-5)


def test_vectors_are_made_again_where_the_graph_or_the_rank_is_another(monkeypatch: pytest.MonkeyPatch):
    """A grid goes from a point to its neighbours, most of which have the same vectors: those are made once."""
    made = []
    kept = graph_filters.right_vectors
    monkeypatch.setattr(graph_filters, "right_vectors", lambda *of: made.append(of[1]) or kept(*of))
    table = groups()

    def same(name: str, **point: Any) -> np.ndarray:
        found = METHODS[name].fit(table, dict(METHODS[name].grid[0]) | point, 0)
        return found.scores_of(torch.arange(table.n_users)).numpy()

    first = {"user_power": 0.35, "item_power": 0.4, "ideal": 0.3, "rank": 3}
    points: list[dict[str, Any]] = [first, first | {"user_power": 0.5}, first | {"rank": 2}, first | {"ideal": 0.0}]
    for point in points:
        for more in ({"tilt": 0.0}, {"tilt": 0.1}):
            before = len(made)
            found = same("bspm", **point, **more)
            assert len(made) - before == (more["tilt"] == 0.0)
            assert np.array_equal(found, scores("bspm", groups(), **point, **more))
    same("gf-cf", **first)
    before = len(made)
    same("bspm", **first)
    assert len(made) == before, "the last of gf-cf are those of bspm"


def test_turbo_cf_takes_a_power_of_each_entry():
    table = weighed()
    has = known(table)
    own = graph(has, 0.3, 0.7)
    assert scores("turbo-cf", table, alpha=0.3, power=0.6) == pytest.approx(has @ (own.T @ own) ** 0.6, rel=1e-4)


def test_turbo_cf_of_a_sparse_table_stays_sparse():
    has = sparse.csr_array(np.kron(np.eye(8), np.ones((4, 3))).astype(bool))
    table = PairTable(has, has, has, has, has)
    form = fitted("turbo-cf", table).served
    assert sparse.issparse(form.weights)
    assert form.weights.nnz == 8 * 9


@pytest.mark.parametrize("make", [groups, weighed])
def test_puresvd_is_a_projection_on_the_first_vectors(make: Any):
    table = make()
    has = known(table)
    left, values, right = np.linalg.svd(has, full_matrices=False)
    wanted = (left[:, :4] * values[:4]) @ right[:4]
    assert scores("puresvd", table, factors=4) == pytest.approx(wanted, abs=1e-4)
    assert scores("puresvd", table, factors=400) == pytest.approx(has, abs=1e-4)


def test_vectors_of_a_large_matrix_are_found_by_iteration():
    """Ten planted directions above noise; the same twice, and no different from a whole decomposition."""
    draw = np.random.default_rng(0)
    planted = draw.random((300, 10)) @ np.diag(np.arange(10, 0, -1.0)) @ draw.random((10, 200))
    matrix = sparse.csr_matrix((planted + 0.01 * draw.random((300, 200))).astype(np.float32))
    found = right_vectors(matrix, 10)
    exact = np.linalg.svd(matrix.toarray().astype(np.float64))[2][:10].T
    assert found.shape == (200, 10)
    assert np.abs((found * exact).sum(0)) == pytest.approx(np.ones(10), abs=1e-3)
    assert np.array_equal(found, right_vectors(matrix, 10))


@pytest.mark.parametrize("factors", [3, 30])
def test_half_a_step_of_ials_is_the_solution_of_its_equations(factors: int):
    """Rows of fewer pairs than factors, of more, and of none, with confidences."""
    draw = np.random.default_rng(factors)
    has = (draw.random((25, 40)) < draw.uniform(0, 0.7, (25, 1))) * draw.uniform(0.5, 2.0, (25, 40))
    has[3] = 0.0
    other, penalties = draw.standard_normal((40, factors)), draw.uniform(0.1, 2.0, 25)
    made = half_step(
        torch.from_numpy(other).float(),
        sparse.csr_matrix(has),
        unobserved=0.2,
        penalties=torch.from_numpy(penalties).float(),
    ).numpy()
    for user, row in enumerate(has):
        system = other.T @ np.diag(row) @ other + 0.2 * other.T @ other + penalties[user] * np.eye(factors)
        assert made[user] == pytest.approx(np.linalg.solve(system, other.T @ row), rel=2e-3, abs=2e-4)
    assert not made[3].any()


def ials_loss(table: PairTable, users: np.ndarray, items: np.ndarray, at: dict[str, Any]) -> float:
    """Rendle et al. 2022, equation 2 with the penalty's power: what is minimised."""
    has, said = known(table), users @ items.T
    alpha, power = at["unobserved"] * has.sum() / has.size, at["power"]
    sums = [has.sum(1) + alpha * has.shape[1], has.sum(0) + alpha * has.shape[0]]
    scale = sum(each.sum() for each in sums) / sum((each**power).sum() for each in sums)
    penalty = sum((each**power) @ (side**2).sum(1) for each, side in zip(sums, (users, items), strict=True))
    return float(
        (has * (said - 1) ** 2).sum()
        + alpha * (said**2).sum()
        + at["regularization"] / (1 + at["unobserved"]) * scale * penalty
    )


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_ials_ends_where_no_user_can_be_better(power: float):
    table = weighed()
    at = {"factors": 5, "unobserved": 2.0, "regularization": 0.1, "power": power, "iterations": 30}
    form = fitted("ials", table, **at).served
    users, items = (side.product.double().numpy() for side in (form.tables.users, form.tables.items))
    least = ials_loss(table, users, items, at)
    draw = np.random.default_rng(0)
    for _ in range(10):
        step = 0.02 * draw.standard_normal(users.shape)
        assert ials_loss(table, users + step, items, at) > least
    for _ in range(10):  # the items had their last turn before the users: nearly so
        step = 0.05 * draw.standard_normal(items.shape)
        assert ials_loss(table, users, items + step, at) > least - 1e-3 * abs(least)
    assert ials_loss(table, users, items, at) < ials_loss(table, 0 * users, 0 * items, at)


def test_a_known_row_makes_the_user_that_ials_trained():
    table = weighed()
    form: Folded = fitted("ials", table, factors=6, iterations=3).served
    raw = table.confidence * table.weighing.mean
    rows = sparse.csr_array((raw, table.train.indices, table.train.indptr), shape=table.train.shape)
    again = form.new_users(rows).product
    assert again.numpy() == pytest.approx(form.tables.users.product.numpy(), rel=1e-3, abs=1e-4)
    assert AlsRows.of_plain(form.by_rows.plain()) == form.by_rows


def test_rows_of_als_written_before_have_no_new_keys():
    assert AlsRows.of_plain({"alpha": 2.0, "penalty": 3.0, "weighing": None}) == AlsRows(2.0, 3.0)


def test_the_loss_of_elsa_is_that_of_whole_rows_of_scores():
    table = weighed()
    has = torch.from_numpy(known(table))
    weights = torch.randn(table.n_items, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    unit = weights / weights.norm(dim=1, keepdim=True)
    said = has @ (unit @ unit.T - torch.eye(table.n_items))
    apart = said / said.norm(dim=1, keepdim=True) - has / has.norm(dim=1, keepdim=True)
    rows = table.weights(np.float64, confident=True)
    columns, starts = (torch.from_numpy(each.astype(np.int64)) for each in (rows.indices, rows.indptr[:-1]))
    made = elsa_loss(weights, columns, torch.from_numpy(rows.data), starts)
    assert float(made) == pytest.approx(float(apart.square().sum(1).mean()), rel=1e-9)


def test_elsa_scores_what_its_weights_say_and_learns():
    table = groups()
    form = fitted("elsa", table, factors=8, epochs=3).served
    unit = form.terms[0].left.astype(np.float64)
    assert (unit**2).sum(1) == pytest.approx(np.ones(table.n_items), abs=1e-5)
    wanted = known(table) @ (unit @ unit.T - np.eye(table.n_items))
    assert form.scores(torch.arange(80)).numpy() == pytest.approx(wanted, abs=1e-4)

    def lost(epochs: int) -> float:
        said = scores("elsa", table, factors=8, epochs=epochs)
        has = known(table)
        unlike = said / np.linalg.norm(said, axis=1, keepdims=True) - has / np.linalg.norm(has, axis=1, keepdims=True)
        return float((unlike**2).sum(1).mean())

    assert lost(20) < lost(1) - 0.05


def test_recent_popularity_counts_the_newest_pairs():
    table = groups()
    times = np.random.default_rng(0).permutation(table.train.nnz).astype(np.float64)
    told = replace(table, times=times)
    late = np.argsort(times)[-round(0.2 * len(times)) :]
    counts = np.bincount(table.train.indices[late], minlength=table.n_items)
    assert np.array_equal(scores("popularity-recent", told, newest=0.2), np.tile(counts, (table.n_users, 1)))
    alike = replace(table, times=np.zeros(table.train.nnz))  # all are the newest
    assert np.array_equal(scores("popularity-recent", alike), scores("popularity", table))
    assert METHODS["popularity-recent"].refuse(told) == ""
    assert "the table has no times; name their column" in METHODS["popularity-recent"].refuse(table)
    with pytest.raises(DataError, match="popularity-recent: the table has no times"):
        fitted("popularity-recent", table)
    assert told.fingerprint() != table.fingerprint()


def test_a_table_keeps_its_times(tmp_path: Any):
    table = groups()
    told = replace(table, times=np.arange(table.train.nnz, dtype=np.float64))
    for each in (table, told):
        each.save(tmp_path / "table.npz")
        again = PairTable.load(tmp_path / "table.npz")
        assert again.fingerprint() == each.fingerprint()
        assert (again.times is None) == (each.times is None)


def test_a_term_is_what_its_polynomial_says():
    draw = np.random.default_rng(0)
    left, right = draw.random((6, 3)), draw.random((3, 6))
    product = left @ right
    term = Term(left, right, (0.5, -1.0, 2.0))
    whole = 0.5 * product - product @ product + 2 * product @ product @ product
    assert term.weights() == pytest.approx(whole)
    has = sparse.csr_matrix((draw.random((4, 6)) < 0.5).astype(np.float64))
    for inside in (term, Term(sparse.csr_matrix(left), sparse.csr_matrix(right), term.powers)):
        form = ItemFactors(has, [inside, Term(left)])
        wanted = has @ (whole + left @ left.T)
        assert form.scores(torch.arange(4)).numpy() == pytest.approx(wanted)
        assert form.scores(torch.arange(4), torch.tensor([4, 1])).numpy() == pytest.approx(wanted[:, [4, 1]])
        again = ItemFactors.of_arrays(form.arrays(), form.facts())
        assert torch.equal(again.scores(torch.arange(4)), form.scores(torch.arange(4)))
        assert not form.additive
        assert form.describe().endswith("and back, on what a user has")


def test_items_of_one_low_rank_have_vectors():
    form = fitted("puresvd", groups(), factors=4).served
    assert form.vectors("item").shape == (40, 4)
    with pytest.raises(DataError, match="it has no vectors of its users"):
        form.vectors("user")
    with pytest.raises(DataError, match="it has no vectors of its items"):
        fitted("elsa", groups(), factors=4, epochs=1).served.vectors("item")


def test_a_graph_without_pairs_of_an_item_is_zero_there():
    has = sparse.csr_matrix(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    assert normalised(has, 0.5, 0.5).toarray() == pytest.approx(np.array([[0.5**0.5, 0.5**0.5, 0.0], [0.0, 0.0, 0.0]]))


def test_the_contrastive_loss_is_that_of_each_pair():
    draw = np.random.default_rng(0)
    positive, negative = draw.uniform(-1, 1, 7), draw.uniform(-1, 1, (7, 5))
    wanted = np.mean([1 - positive[u] + 3.0 / 5 * sum(max(0.0, each - 0.2) for each in negative[u]) for u in range(7)])
    made = contrastive_loss(torch.from_numpy(positive), torch.from_numpy(negative), 0.2, 3.0)
    assert float(made) == pytest.approx(wanted)


def test_simplex_scores_are_cosines_but_for_the_length_of_a_user():
    form = fitted("simplex", groups(), embedding_dim=4, epochs=2).served
    items = form.tables.items.product
    assert items.norm(dim=1).numpy() == pytest.approx(np.ones(40), abs=1e-5)
    layer = form.by_rows.layers[0]
    assert layer.weight.shape == (4, 40)
    rows = sparse.csr_array(groups().train)
    unit = dense(rows) / np.sqrt(dense(rows).sum(1, keepdims=True))
    assert form.new_users(rows).product.numpy() == pytest.approx(unit @ layer.weight.numpy().T, abs=1e-5)


def test_the_time_of_a_pair_is_when_it_was_last_met():
    """Repeated pairs are one; pairs that do not count have no place."""
    user, item, rating = np.array([1, 0, 1, 0, 1, 1]), np.array([0, 1, 0, 0, 1, 2]), np.array([5, 5, 5, 1, 5, 5])
    users, items = (Vocabulary(np.arange(size)) for size in (2, 3))
    when = np.array([30, 10, 20, 40, 50, 60])
    data = Interactions(user, item, rating.astype(np.float32), when, None, users, items)
    parts = Split(np.arange(5), np.array([5]), np.array([], np.int64), "files", 0, None, "")
    task = RankingTask(data, parts, RankingSettings(threshold=4.0))
    table = PairTable.of(task, needs=("train", "valid"))
    assert table.train.toarray().tolist() == [[False, True, False], [True, True, False]]
    assert table.times is not None
    assert table.times.tolist() == [10.0, 30.0, 50.0]
    assert PairTable.of(RankingTask(replace(data, timestamp=None), parts), needs=("train",)).times is None

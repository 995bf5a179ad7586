"""`Recommender` against implicit itself: the same call, the same shapes, types and filters."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sif_samples import TINY, sets

import sif
from nasp_core.optimise import Optimiser, Training
from nasp_core.training import train
from sif.checkpoint import load_tree, save_tree
from sif.datasets import Interactions, Vocabulary, split
from sif.errors import DataError, RunError
from sif.recipes import load_recipe
from sif.recommender import Recommender
from sif.spaces.saved import task_tree
from sif.spaces.wide import WideNetwork, WideSpace
from sif.spaces.wide_points import wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingTask
from sif.tasks.queries import Queries

Model = Any
USERS, ITEMS = 24, 18


@pytest.fixture(scope="module")
def user_items(planted: Interactions) -> sparse.csr_matrix:
    return planted.user_items()


@pytest.fixture(scope="module")
def ours(user_items: sparse.csr_matrix) -> Recommender:
    return tiny().fit(user_items, show_progress=False)


def tiny(**settings: Any) -> Recommender:
    return Recommender(load_recipe("ratings-operations", sets(TINY | settings)[1::2]), device="cpu")


@pytest.fixture(scope="module")
def theirs(user_items: sparse.csr_matrix) -> Model:
    pytest.importorskip("implicit")
    from implicit.cpu.als import AlternatingLeastSquares

    with _quiet():
        model = AlternatingLeastSquares(factors=4, random_state=0, num_threads=1)
        model.fit(user_items, show_progress=False)
    return model


def same(one: Recommender, other: Recommender) -> bool:
    users = torch.arange(USERS)
    return torch.equal(one.folded.scores(users), other.folded.scores(users))


def _quiet() -> Any:
    import warnings

    return warnings.catch_warnings(action="ignore")


MANY = np.array([3, 11, 0])
CALLS: dict[str, Callable[[Model, sparse.csr_matrix], Any]] = {
    "one user": lambda m, x: m.recommend(3, x[3]),
    "one user, numpy id": lambda m, x: m.recommend(np.int64(3), x[3], N=4),
    "many users": lambda m, x: m.recommend(MANY, x[MANY], N=5),
    "list of users": lambda m, x: m.recommend([3, 11], x[[3, 11]], N=5),
    "one user in a list": lambda m, x: m.recommend([3], x[[3]], N=5),
    "keep what is liked": lambda m, x: m.recommend(3, x[3], N=18, filter_already_liked_items=False),
    "no rows needed": lambda m, x: m.recommend(MANY, None, N=4, filter_already_liked_items=False),
    "filter_items": lambda m, x: m.recommend(MANY, x[MANY], N=4, filter_items=[0, 1, 2, 3]),
    "filter_items, all kept": lambda m, x: m.recommend(3, x[3], 6, False, [0, 1, 2]),
    "items": lambda m, x: m.recommend(3, x[3], N=3, items=[2, 5, 7, 9, 1, 0]),
    "items, many users": lambda m, x: m.recommend(MANY, x[MANY], N=3, items=np.array([2, 5, 7, 9])),
    "fewer items than N": lambda m, x: m.recommend(3, x[3], N=9, items=[2, 5, 7]),
    "recalculate_user": lambda m, x: m.recommend(3, x[3], N=5, recalculate_user=True),
    "recalculate many": lambda m, x: m.recommend(MANY, x[MANY], N=5, recalculate_user=True),
    "a new user": lambda m, x: m.recommend(0, x[3], N=5, recalculate_user=True),
    "more than is left": lambda m, x: m.recommend(3, x[3], N=18),
    "more than there are": lambda m, x: m.recommend(MANY, x[MANY], N=40),
    "similar items": lambda m, x: m.similar_items(4),
    "similar items, many": lambda m, x: m.similar_items(MANY, N=3),
    "similar items among": lambda m, x: m.similar_items(4, N=3, items=[1, 2, 3, 4]),
    "similar items but": lambda m, x: m.similar_items(4, N=3, filter_items=[1, 2]),
    "similar users": lambda m, x: m.similar_users(4, N=6),
    "similar users among": lambda m, x: m.similar_users(MANY, N=2, users=[1, 2, 3]),
    "similar users but": lambda m, x: m.similar_users(4, N=3, filter_users=np.array([1, 2])),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_same_call_as_implicit(call: str, ours: Recommender, theirs: Model, user_items: sparse.csr_matrix):
    """Same shapes and types. Where implicit pads by ids that mean nothing, ours pads by -1 and -inf."""
    with _quiet():
        (ids, scores), (their_ids, their_scores) = (CALLS[call](model, user_items) for model in (ours, theirs))
    assert (ids.shape, scores.shape, scores.dtype) == (their_ids.shape, their_scores.shape, their_scores.dtype)
    assert ids.dtype == np.int32  # implicit turns to int64 under `items`
    real = their_scores > -1e38
    if call == "more than there are":
        real &= np.arange(40) < ITEMS
    for mine, yours, kept in zip(np.atleast_2d(ids), np.atleast_2d(their_ids), np.atleast_2d(real), strict=True):
        assert (mine >= 0).sum() == kept.sum()
        assert len(set(mine[mine >= 0])) == kept.sum()
        if not kept.all():  # all that is left: the same items, in an order of its own
            assert set(mine[mine >= 0]) == set(yours[kept])
    for row in np.atleast_2d(scores):
        shown = row[np.isfinite(row)]
        assert (np.diff(shown) <= 0).all()
    assert ((ids == -1) == np.isneginf(scores)).all()


@pytest.mark.parametrize("method", ["fit", "recommend", "similar_items", "similar_users"])
def test_the_same_arguments_in_the_same_order(method: str, theirs: Model):
    mine, yours = (inspect.signature(getattr(cls, method)).parameters for cls in (Recommender, type(theirs)))
    assert list(mine) == list(yours)
    assert [p.default for p in mine.values()] == [p.default for p in yours.values()]


def test_what_is_liked_is_left_out(ours: Recommender, user_items: sparse.csr_matrix):
    ids, _ = ours.recommend(np.arange(USERS), user_items, N=ITEMS)
    for user, row in enumerate(ids):
        assert set(row[row >= 0]) == set(range(ITEMS)) - set(user_items[user].indices)
    every, _ = ours.recommend(np.arange(USERS), user_items, N=ITEMS, filter_already_liked_items=False)
    assert (np.sort(every, axis=1) == np.arange(ITEMS)).all()


def test_a_repeated_item_lets_nothing_through(ours: Recommender, user_items: sparse.csr_matrix):
    liked = int(user_items[3].indices[0])
    ids, _ = ours.recommend(3, user_items[3], N=5, items=[liked, liked, liked])
    assert ids.tolist() == [-1]


def test_scores_are_ratings_and_do_not_depend_on_the_batch(ours: Recommender, user_items: sparse.csr_matrix):
    ids, scores = ours.recommend(MANY, user_items[MANY], N=5)
    for row, user in enumerate(MANY):
        one = ours.recommend(int(user), user_items[user], N=5)
        assert one[0].tolist() == ids[row].tolist()
        np.testing.assert_allclose(one[1], scores[row], atol=1e-5)
    assert 0 < scores[np.isfinite(scores)].mean() < 6


def test_similar_items_are_cosines(ours: Recommender):
    ids, scores = ours.similar_items(4, N=ITEMS)
    (table,) = (rows.numpy() for rows in ours.network.encoded("item"))
    cosine = table @ table[4] / np.linalg.norm(table, axis=1) / np.linalg.norm(table[4])
    assert (ids[0], scores[0]) == (4, pytest.approx(1.0, abs=1e-5))
    np.testing.assert_allclose(scores, cosine[ids], atol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, x: m.recommend(99, x[3]), "unknown user 99: this model knows users 0 to 23; for a new user give"),
        (lambda m, x: m.recommend(-1, x[3]), "unknown user -1"),
        (lambda m, x: m.recommend(3, x), r"user_items has 24 rows for 1 requested user\(s\); give one row per user"),
        (lambda m, x: m.recommend(3, x[3][:, :5]), "user_items has 5 columns; this model knows 18 items"),
        (lambda m, x: m.recommend(3, np.ones((1, 18))), "user_items is a ndarray; give a scipy sparse matrix"),
        (lambda m, x: m.recommend(3, x[3], items=[1], filter_items=[2]), "give items .* or filter_items .*, not both"),
        (lambda m, x: m.recommend(3, x[3], items=[18]), "unknown item 18: this model knows items 0 to 17"),
        (lambda m, x: m.recommend(3, x[3], filter_items=[-1]), "unknown item -1"),
        (lambda m, x: m.similar_items(18), "unknown item 18"),
        (lambda m, x: m.similar_items(1, items=[-1]), "unknown item -1"),
        (lambda m, x: m.similar_users(1, filter_users=[24]), "unknown user 24"),
        (lambda m, x: m.similar_items(1, recalculate_item=True), "cannot solve for new items"),
    ],
)
def test_a_bad_call(call: Callable[..., Any], words: str, ours: Recommender, user_items: sparse.csr_matrix):
    with pytest.raises(DataError, match=words):
        call(ours, user_items)


def test_before_fit():
    for call in (lambda m: m.similar_items(0), lambda m: m.save("x"), lambda m: m.network):
        with pytest.raises(RunError, match=r"call fit\(user_items\)"):
            call(tiny())


def test_save_and_load(ours: Recommender, user_items: sparse.csr_matrix, tmp_path: Path):
    ours.save(tmp_path / "model.safetensors")
    again = Recommender.load(tmp_path / "model.safetensors")
    for call in CALLS.values():
        for mine, loaded in zip(call(ours, user_items), call(again, user_items), strict=True):
            assert (mine == loaded).all()
    assert again.parameters == ours.parameters > 0
    assert again.genotype == ours.genotype


def test_load_refuses_what_is_something_else(tmp_path: Path):
    save_tree(tmp_path / "other", {"format": "other-1"})
    with pytest.raises(RunError, match="is not a saved Recommender"):
        Recommender.load(tmp_path / "other")
    with pytest.raises(RunError, match="cannot read"):
        Recommender.load(tmp_path / "gone")


def test_fit_is_deterministic_and_takes_any_sparse_format(user_items: sparse.csr_matrix, ours: Recommender):
    for matrix in (user_items, user_items.tocsc(), sparse.coo_array(user_items), user_items.astype(np.float64)):
        again = tiny().fit(matrix)
        assert same(again, ours)


def test_the_callback_hears_every_epoch(user_items: sparse.csr_matrix):
    calls: list[tuple[int, float, float]] = []
    tiny().fit(user_items, callback=lambda *result: calls.append(result))
    assert [epoch for epoch, _, _ in calls] == list(range(len(calls)))
    assert 1 <= len(calls) <= 3
    assert all(seconds > 0 and np.isfinite(loss) for _, seconds, loss in calls)


@pytest.mark.slow
def test_equal_values_are_clicks_and_are_ranked():
    """Two groups of users with two groups of items: the others' items of one's own group come first."""
    generator = np.random.default_rng(0)
    group = np.arange(80) % 2
    clicks = (group[:, None] == (np.arange(40) % 2)) & (generator.random((80, 40)) < 0.6)
    model = Recommender(device="cpu").fit(sparse.csr_matrix(clicks * 3.0))
    assert model.recipe.task == "ranking"
    ids, _ = model.recommend(np.arange(80), sparse.csr_matrix(clicks), N=3)
    assert ((ids % 2) == group[:, None]).mean() > 0.9
    stars = sparse.csr_matrix(np.where(clicks, 1.0 + generator.integers(0, 5, clicks.shape), 0.0))
    assert model.fit(stars).recipe.task == "rating", "each fit looks at its own matrix"


def test_equal_values_cannot_be_predicted_as_ratings():
    with pytest.raises(DataError, match=r"all are 3: that is implicit feedback"):
        tiny().fit(sparse.csr_matrix(np.kron(np.eye(4), np.ones((5, 5))) * 3.0))


def test_a_ranking_recipe_learns_clicks_as_they_are(tmp_path: Path):
    """No absent pair is drawn as a rating of 0: what is fitted is the ranking task on the matrix's own pairs."""
    generator = np.random.default_rng(0)
    group = np.arange(40) % 2
    clicks = sparse.csr_matrix((group[:, None] == (np.arange(30) % 2)) & (generator.random((40, 30)) < 0.6))
    small = {"search.epochs": 2, "train.epochs": 30, "tune.embedding_dim": [], "space.embedding_dim": 8}
    model = Recommender(load_recipe("clicks", sets(small)[1::2]), device="cpu").fit(clicks)
    assert isinstance(model.network, WideNetwork)
    assert model.network.histories.counts().tolist() == [*clicks.getnnz(axis=1), *clicks.getnnz(axis=0)]
    model.save(tmp_path / "model.safetensors")
    for made in (model, Recommender.load(tmp_path / "model.safetensors")):
        for solved in (False, True):
            ids, _ = made.recommend(np.arange(40), clicks, N=3, recalculate_user=solved)
            assert ((ids % 2) == group[:, None]).mean() > 0.9


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (sparse.csr_matrix((4, 4)), "has no interactions"),
        (sparse.csr_matrix(np.eye(4)), "too few to split"),
        (sparse.csr_matrix(np.ones((1, 40))), "has one user"),
        (sparse.csr_matrix(np.ones((8, 8))), "all are 1: that is implicit feedback"),
        (np.ones((8, 8)), "give a scipy sparse matrix"),
    ],
)
def test_a_matrix_that_cannot_be_learnt_from(matrix: Any, words: str):
    with pytest.raises(DataError, match=words):
        tiny().fit(matrix)


def test_a_recipe_by_name_and_the_seed(planted: Interactions, user_items: sparse.csr_matrix):
    assert Recommender().recipe == load_recipe("ratings")
    assert Recommender("movielens", seed=4).recipe == load_recipe("movielens", ["seed=4"])
    assert not same(replace_seed(tiny(), 1).fit(user_items), tiny().fit(user_items))


def replace_seed(model: Recommender, seed: int) -> Recommender:
    model.recipe = model.recipe.model_copy(update={"seed": seed})
    return model


def test_parts_and_columns_of_the_recipe_do_not_matter_for_a_matrix(user_items: sparse.csr_matrix, ours: Recommender):
    recipe = load_recipe("ratings-operations", [*sets(TINY)[1::2], "valid=v.csv", "dataset=d.csv"])
    again = Recommender(recipe, device="cpu").fit(user_items)
    assert same(again, ours)


def test_the_recommender_of_a_run(finished: sif.Run, planted: Interactions):
    """Ids are the numbers of the run's vocabularies, so that both ways give one ranking."""
    model = finished.recommender()
    ids, scores = model.recommend(3, planted.user_items()[3], N=4)
    rows = finished.recommend("u03", 4)
    assert [f"m{item:02d}" for item in ids] == [row["item"] for row in rows]
    np.testing.assert_allclose(scores, [row["score"] for row in rows], atol=1e-5)


def test_ratings_without_times_are_enough(planted: Interactions):
    run = sif.search(replace(planted, timestamp=None), settings=TINY, device="cpu")
    assert run.result["dataset"]["dates"] is None


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recommender, RankingTask]:
    """A network of two branches with histories, trained to rank, as a run would save it; items 3 and 7 are cold."""
    generator = np.random.default_rng(3)
    user, item = np.nonzero(generator.random((30, 20)) < 0.4)
    data = Interactions(user, item, None, None, None, Vocabulary(range(30)), Vocabulary(range(20)), name="clicks")
    met = np.flatnonzero(~np.isin(item, (3, 7)))
    task = RankingTask(data, replace(split(data), train=met, valid=met[:0], test=met[:0]))
    choices = {
        "encoding": ("id+history", "id", "history", "history"),
        "elementwise": ("identity", "network"),
        "operation": ("multiply", "max"),
        "predictor": ("linear", "linear"),
        "biases": ("on",),
    }
    settings = WideSettings(embedding_dim=4, branches=2, init_std=0.3, elementwise=("identity", "network"))
    space = WideSpace(task.sizes, settings, task.histories(), task.counts())
    network = space.build(wide_genotype(choices, settings))
    network.reset(torch.Generator().manual_seed(0))
    training = Training(epochs=20, batch_size=8, optimiser=Optimiser(kind="adam", learning_rate=0.02), evaluate_every=0)
    train(network, task, training)
    path = tmp_path_factory.mktemp("wide") / "model.safetensors"
    save_tree(path, task_tree(wide_genotype(choices, settings), network.state_dict(), task))
    made = Recommender.load(path)
    with torch.no_grad():
        wanted = network(Queries.catalogue(torch.arange(30), 20))
    assert (made.folded.scores(torch.arange(30)) - wanted).abs().max() < 1e-5
    return made, task


def test_a_wide_network_keeps_its_histories(wide: tuple[Recommender, RankingTask], tmp_path: Path):
    made, task = wide
    rows = sparse.csr_matrix(task.positives("train").astype(np.float32))
    made.save(tmp_path / "again.safetensors")
    again = Recommender.load(tmp_path / "again.safetensors")
    for call in (
        lambda m: m.recommend(np.arange(30), rows, N=5),
        lambda m: m.recommend(np.arange(4), rows[:4], N=5, recalculate_user=True),
        lambda m: m.similar_items(2, N=4),
        lambda m: m.similar_users(2, N=4),
    ):
        for mine, loaded in zip(call(made), call(again), strict=True):
            assert (mine == loaded).all()
    ids, scores = made.recommend(5, rows[5], N=20)
    own = made.folded.scores(torch.tensor([5]))[0].numpy()
    assert np.allclose(scores[ids >= 0], own[ids[ids >= 0]])  # a ranking's scores are no ratings


def test_a_new_user_of_a_wide_network_is_known_by_their_row(wide: tuple[Recommender, RankingTask]):
    """Somebody with user 4's row gets nearly user 4's scores, apart from what all users share, and nobody else's."""
    made, task = wide
    rows = sparse.csr_matrix(task.positives("train").astype(np.float32))
    solved, known = (
        sorted_scores(made.recommend(np.arange(30), rows, 20, False, recalculate_user=solve)) for solve in (True, False)
    )
    like = np.corrcoef(solved, known)[:30, 30:]
    assert np.median(np.diag(like)) > 0.9
    ranks = (like > np.diag(like)[:, None]).sum(axis=1)
    assert np.median(ranks) < 1  # most are nearest to themselves


def sorted_scores(ranked: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Scores `[users, items]` in the order of the items, each item's mean taken off."""
    ids, scores = ranked
    placed = np.take_along_axis(scores, np.argsort(ids, axis=1), axis=1)
    return placed - placed.mean(axis=0)


def test_items_that_training_never_met_can_be_left_out(wide: tuple[Recommender, RankingTask]):
    made, _ = wide
    assert np.flatnonzero(made.cold).tolist() == [3, 7]
    ids, _ = made.recommend(np.arange(30), None, N=20, filter_already_liked_items=False)
    assert np.isin([3, 7], ids).all()
    made.cold_items = False
    try:
        ids, _ = made.recommend(np.arange(30), None, N=20, filter_already_liked_items=False)
        assert not np.isin([3, 7], ids).any()
        assert np.isin(0, ids)
        ids, _ = made.recommend(0, None, N=20, filter_already_liked_items=False, filter_items=[0])
        assert not np.isin([0, 3, 7], ids).any()
        ids, _ = made.recommend(0, None, N=3, filter_already_liked_items=False, items=[2, 3])
        assert ids.tolist() == [2, -1]
    finally:
        made.cold_items = True
    assert Recommender(cold_items=False).cold_items is False


def test_an_older_model_does_not_know_its_cold_items(ours: Recommender, tmp_path: Path):
    ours.save(tmp_path / "model.safetensors")
    tree = load_tree(tmp_path / "model.safetensors")
    assert not Recommender.load(tmp_path / "model.safetensors").cold.any()
    save_tree(tmp_path / "old", {key: value for key, value in tree.items() if key not in ("counts", "histories")})
    old = Recommender.load(tmp_path / "old")
    with pytest.raises(RunError, match="saved without saying which items training met; fit it again"):
        _ = old.cold


def test_a_model_that_lost_its_histories_is_refused(wide: tuple[Recommender, RankingTask], tmp_path: Path):
    wide[0].save(tmp_path / "model.safetensors")
    tree = load_tree(tmp_path / "model.safetensors")
    save_tree(tmp_path / "lost", tree | {"histories": None})
    with pytest.raises(RunError, match="lost is a model that reads histories, saved without them; train it again"):
        Recommender.load(tmp_path / "lost")

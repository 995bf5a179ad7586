"""implicit: a function that folds to an inner product is one of its models, with the same ids and scores."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sif_samples import TINY, sets

import sif
from sif.datasets import Interactions
from sif.encodings.histories import Histories
from sif.errors import DataError, RunError
from sif.integrations import IntegrationError
from sif.operations.tables import FoldedSide, Tables
from sif.recipes import load_recipe
from sif.serve.folding import Folded
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import NAMED, named
from sif.spaces.wide_settings import WideSettings
from sif.tasks.queries import Queries

pytest.importorskip("implicit", reason="implicit is not installed: pip install implicit")
from sif.integrations.implicit import FoldedModel, factors_model, to_implicit

USERS, ITEMS, DIM = 12, 30, 5


def side(n: int, seed: int, *, bias: bool = True, product: int = DIM, **more: Any) -> FoldedSide:
    draw = torch.Generator().manual_seed(seed)
    values = torch.randn(n, product, generator=draw)
    return FoldedSide.of(torch.randn(n, generator=draw) if bias else torch.zeros(n), product=values, **more)


def folded(*, user_bias: bool = True, item_bias: bool = True, product: int = DIM) -> Folded:
    users = side(USERS, 1, bias=user_bias, product=product)
    return Folded(Tables(users, side(ITEMS, 2, bias=item_bias, product=product)))


def empty_rows(n: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((n, ITEMS), dtype=np.float32)


@pytest.fixture(scope="module")
def rows(planted: Interactions) -> sparse.csr_matrix:
    return planted.user_items()


@pytest.fixture(scope="module")
def recommender(rows: sparse.csr_matrix) -> sif.Recommender:
    recipe = load_recipe("ratings-operations", sets(TINY | {"space.operations": ["multiply"]})[1::2])
    return sif.Recommender(recipe, device="cpu").fit(rows, show_progress=False)


@pytest.mark.parametrize(("user_bias", "item_bias"), [(False, False), (False, True), (True, False), (True, True)])
def test_recommend_gives_the_scores_of_the_function(user_bias: bool, item_bias: bool):
    source = folded(user_bias=user_bias, item_bias=item_bias)
    model = to_implicit(source, num_threads=1)
    assert model.item_factors.shape == (ITEMS, DIM + user_bias + item_bias)
    ids, scores = model.recommend(np.arange(USERS), empty_rows(USERS), N=ITEMS)
    expected = source.scores(torch.arange(USERS)).numpy()
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1), atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(expected, ids.astype(np.int64), 1), scores, atol=1e-5)


def wide(point: str) -> WideNetwork:
    draw = torch.Generator().manual_seed(3)
    users, items = (torch.randint(size, (60,), generator=draw) for size in (USERS, ITEMS))
    histories = Histories.of(users, items, (USERS, ITEMS))
    network = WideNetwork((USERS, ITEMS), named(point, WideSettings(embedding_dim=DIM)), histories)
    network.reset(draw)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=draw))
    return network


@pytest.mark.parametrize("point", [name for name in NAMED if name not in ("ncf-mlp", "neumf")])
def test_named_models_without_an_mlp_score_as_they_do(point: str):
    network = wide(point)
    with torch.no_grad():
        expected = network(Queries.catalogue(torch.arange(USERS), ITEMS)).numpy()
    model = to_implicit(Folded(network), num_threads=1)
    np.testing.assert_allclose(model.user_factors @ model.item_factors.T, expected, atol=1e-5)
    ids, scores = model.recommend(np.arange(USERS), empty_rows(USERS), N=ITEMS)
    np.testing.assert_allclose(np.take_along_axis(expected, ids.astype(np.int64), 1), scores, atol=1e-5)


@pytest.mark.parametrize("point", ["ncf-mlp", "neumf"])
def test_named_models_with_an_mlp_are_refused(point: str):
    with pytest.raises(IntegrationError, match="the function is no inner product"):
        to_implicit(Folded(wide(point)))


def test_a_recommender_keeps_its_ids_scores_and_unit(recommender: sif.Recommender, rows: sparse.csr_matrix):
    model = to_implicit(recommender, num_threads=1)
    users = np.arange(rows.shape[0])
    for liked in (True, False):
        ours = recommender.recommend(users, rows, N=3, filter_already_liked_items=liked)
        theirs = model.recommend(users, rows, N=3, filter_already_liked_items=liked)
        np.testing.assert_allclose(theirs[1], ours[1], atol=1e-5)
        np.testing.assert_array_equal(theirs[0], ours[0])
    assert 1.0 < float(np.mean(ours[1])) < 5.5  # ratings, not standard units


def test_similar_items_are_those_of_the_recommender(recommender: sif.Recommender):
    ours = recommender.similar_items(np.arange(18), N=5)
    theirs = to_implicit(recommender, num_threads=1).similar_items(np.arange(18), N=5)
    np.testing.assert_allclose(theirs[1], ours[1], atol=1e-5)
    np.testing.assert_array_equal(theirs[0], ours[0])


def test_a_bias_does_not_make_items_similar():
    """Items 0 and 1 point the same way; item 2 does not, but is liked as much as item 0."""
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    users = FoldedSide.of(torch.zeros(2), product=torch.eye(2))
    model = to_implicit(Folded(Tables(users, FoldedSide.of(torch.tensor([9.0, 0.0, 9.0]), product=vectors))))
    ids, scores = model.similar_items(0, N=3)
    assert (ids.tolist()[2], scores.tolist()) == (2, [1.0, 1.0, 0.0])
    ids, scores = model.similar_users(0, N=2)
    assert (ids.tolist(), scores.tolist()) == ([0, 1], [1.0, 0.0])


def test_saved_it_is_read_by_itself_and_by_implicit(tmp_path: Path):
    from implicit.cpu.als import AlternatingLeastSquares

    model, users = to_implicit(folded(), num_threads=1), np.arange(USERS)
    model.save(tmp_path / "model.npz")
    expected = model.recommend(users, empty_rows(USERS), N=4)
    for kind in (FoldedModel, AlternatingLeastSquares):
        again = kind.load(str(tmp_path / "model.npz"))
        for one, other in zip(again.recommend(users, empty_rows(USERS), N=4), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    again = FoldedModel.load(str(tmp_path / "model.npz"))
    np.testing.assert_array_equal(again.similar_items(3)[1], model.similar_items(3)[1])


def test_an_exported_file_is_the_same_model(tmp_path: Path):
    """What `sif export --to implicit` writes, with its ids beside the factors."""
    from sif.serve.export_formats import implicit_file

    source, names = folded(), [f"item {n}" for n in range(ITEMS)]
    meta = {"formula": "u * v", "users": list(range(USERS)), "items": names, "titles": None}
    (tmp_path / "model.npz").write_bytes(implicit_file(source, meta))
    model, expected = FoldedModel.load(str(tmp_path / "model.npz")), to_implicit(source)
    np.testing.assert_array_equal(model.user_factors, expected.user_factors)
    np.testing.assert_array_equal(model.item_factors, expected.item_factors)
    np.testing.assert_array_equal(model.similar_items(1)[0], expected.similar_items(1)[0])


def test_an_index_ranks_by_it():
    """implicit's Annoy model calls `fit`, reads `item_factors`, and leaves similar items to the model."""
    pytest.importorskip("annoy", reason="annoy is not installed: pip install annoy")
    from implicit.ann.annoy import AnnoyModel

    model = to_implicit(folded(), num_threads=1)
    index = AnnoyModel(model, approximate_similar_items=False, n_trees=200, search_k=10_000)
    index.fit(empty_rows(USERS), show_progress=False)
    expected = model.recommend(3, empty_rows(1), N=5)
    found = index.recommend(3, empty_rows(1), N=5, filter_already_liked_items=False)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-4)
    np.testing.assert_array_equal(index.similar_items(0)[0], model.similar_items(0)[0])


def test_what_an_index_asks_of_a_model_is_there():
    """Without annoy, nmslib or faiss: the inner product as their cosine, by implicit's own augmented matrix."""
    from implicit.utils import augment_inner_product_matrix

    model = to_implicit(folded(), num_threads=1)
    model.fit(empty_rows(USERS), show_progress=False, callback=None)
    _, extra = augment_inner_product_matrix(model.item_factors)
    query = np.append(model.user_factors[3], 0)
    order = np.argsort(-(extra @ query) / np.linalg.norm(extra, axis=1))[:5]
    np.testing.assert_array_equal(order, model.recommend(3, empty_rows(1), N=5)[0])


def test_it_trains_nothing_and_refuses_another_matrix():
    model = to_implicit(folded())
    before = model.item_factors.copy()
    model.fit(empty_rows(USERS))
    np.testing.assert_array_equal(model.item_factors, before)
    with pytest.raises(DataError, match=r"user_items has shape \(11, 30\), the factors are those of \(12, 30\)"):
        model.fit(empty_rows(11))
    with pytest.raises(DataError, match=r"factors of shape \(3, 2\) and \(4, 5\); both are \[number, d\]"):
        factors_model(np.zeros((3, 2), np.float32), np.zeros((4, 5), np.float32))


@pytest.mark.parametrize("operation", ["max", "min"])
def test_max_and_min_are_refused_with_the_reason(operation: str):
    space = InteractionSpace((4, 6), InteractionSettings(embedding_dim=3, operations=(operation,)))
    network = space.build(space.genotype({"operation": (0,)}))
    with pytest.raises(IntegrationError, match="no inner product, and implicit knows nothing else: max or min, or an"):
        to_implicit(Folded(network))


def test_an_mlp_is_refused_with_the_reason():
    from sif.operations.tables import MlpFactor

    factor = MlpFactor("multiply", ((torch.ones(2, 3), torch.zeros(2)), (torch.ones(1, 2), torch.zeros(1))))
    sides = (FoldedSide.of(torch.zeros(n), mlps=(torch.ones(n, 3),)) for n in (2, 4))
    with pytest.raises(IntegrationError, match="an MLP is in it, and no table replaces it"):
        to_implicit(Folded(Tables(*sides, (factor,))))


def test_what_it_cannot_do_is_said():
    model = to_implicit(folded(product=0))
    assert model.recommend(0, empty_rows(1), N=3)[1].shape == (3,)
    for call, text in (
        (lambda: model.similar_items(0), "it has no vectors that could be similar"),
        (lambda: model.recommend(0, empty_rows(1), recalculate_user=True), "cannot solve for users"),
        (lambda: to_implicit(folded()).similar_items(0, recalculate_item=True), "cannot solve for items"),
    ):
        with pytest.raises(IntegrationError, match=text):
            call()


def test_the_gpu_is_refused_or_given_the_factors(monkeypatch: pytest.MonkeyPatch):
    import implicit.gpu

    model = to_implicit(folded())
    monkeypatch.setattr(implicit.gpu, "HAS_CUDA", False)
    with pytest.raises(IntegrationError, match="implicit has no GPU here"):
        model.to_gpu()
    made = SimpleNamespace(AlternatingLeastSquares=lambda factors: SimpleNamespace(factors=factors))
    monkeypatch.setattr(implicit.gpu, "HAS_CUDA", True)
    monkeypatch.setattr(implicit.gpu, "Matrix", np.asarray, raising=False)
    monkeypatch.setitem(sys.modules, "implicit.gpu.als", made)
    monkeypatch.setattr(implicit.gpu, "als", made, raising=False)
    moved = model.to_gpu()
    assert moved.factors == DIM + 2
    np.testing.assert_array_equal(moved.user_factors, model.user_factors)


def test_without_implicit_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "implicit.cpu.matrix_factorization_base", None)
    monkeypatch.delitem(sys.modules, "sif.integrations.implicit")
    with pytest.raises(IntegrationError, match="implicit is not installed\n  pip install implicit"):
        import sif.integrations.implicit  # noqa: F401


def test_a_rival_that_weighs_items_by_items_is_refused_with_words():
    """What a default search hands over may be EASE: no factors of it exist."""

    class Served:
        @property
        def folded(self) -> Any:
            raise RunError("the model is dense weights of 40 x 40 items, and not folded tables")

    with pytest.raises(IntegrationError, match=r"no factors make these scores.*dense weights of 40 x 40"):
        to_implicit(Served())  # type: ignore[arg-type]
    with pytest.raises(RunError, match="is not trained"):
        to_implicit(sif.Recommender())

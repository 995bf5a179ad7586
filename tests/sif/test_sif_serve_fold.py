"""Folding: every function of the wide space comes apart into tables that score as its formula does."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sif_functions import DIM, POINTS, SIZES, function_of, name_of, scores_of, wide_network

from sif.serve import folding
from sif.serve.folding import Folded, fold_side
from sif.tasks.queries import Queries

ADDITIVE_PAIRS = {
    (operation, predictor) for operation in ("plus", "minus", "concat") for predictor in ("sum", "linear", "cosine")
}
ADDITIVE_PAIRS |= {("concat", "distance")}
EVERY = torch.arange(SIZES[0])


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("point", POINTS, ids=name_of)
def test_tables_score_as_the_formula(point: Any, biases: bool, monkeypatch: pytest.MonkeyPatch):
    network = function_of(point, biases=biases)
    folded, wanted = Folded(network), scores_of(network)
    assert (folded.scores(EVERY) - wanted).abs().max() < 1e-5
    some, few = torch.tensor([3, 3, 0]), torch.tensor([8, 1])
    assert (folded.scores(some, few) - wanted[some][:, few]).abs().max() < 1e-5
    monkeypatch.setattr(folding, "_BLOCK", 2 * DIM)  # MLPs two pairs at a time
    assert (folded.scores(EVERY) - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("elementwise", ["identity", "sigmoid", "tanh", "network"])
@pytest.mark.parametrize("encoding", [("id", "id"), ("history", "id"), ("id+history", "history")])
def test_a_wide_network_folds(encoding: tuple[str, str], elementwise: str):
    """Encodings, element-wise networks and biases of a real network, with users and items that have no history."""
    network = wide_network(encoding, elementwise)
    with torch.no_grad():
        wanted = network(Queries.catalogue(EVERY, SIZES[1]))
    assert (Folded(network).scores(EVERY) - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("point", POINTS, ids=name_of)
def test_additive_functions_are_known(point: Any):
    folded = Folded(function_of(point))
    assert folded.additive == ({(operation, predictor) for operation, predictor, _ in point} <= ADDITIVE_PAIRS)
    if folded.additive:
        assert len({tuple(row.tolist()) for row in folded.scores(EVERY).argsort(dim=1)}) == 1
        assert folded.describe() == "biases"


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("point", POINTS, ids=name_of)
def test_inner_products_are_those_that_can_be(point: Any, biases: bool):
    network = function_of(point, biases=biases)
    pairs = {(operation, predictor) for operation, predictor, _ in point}
    product = {("multiply", p) for p in ("sum", "linear", "distance", "cosine")} | {
        ("plus", "distance"),
        ("minus", "distance"),
    }
    product |= {(f"block-{form}", p) for form in ("complex", "analogy", "simple") for p in ("sum", "linear", "cosine")}
    factors = Folded(network).inner_product()
    assert (factors is not None) == (pairs <= product | ADDITIVE_PAIRS)
    if factors is not None:
        users, items = factors
        assert (users @ items.T - scores_of(network)).abs().max() < 1e-5
        if pairs <= {("multiply", "sum"), ("multiply", "linear")} and not biases:
            assert users.shape[1] == DIM  # no dimension for biases that are all 0


@pytest.mark.parametrize("point", POINTS, ids=name_of)
def test_the_best_items_are_those_of_the_scores(point: Any, monkeypatch: pytest.MonkeyPatch):
    network = function_of(point)
    folded, wanted = Folded(network), scores_of(network).numpy().copy()
    monkeypatch.setattr("sif.serve.topk._BLOCK", 3 * SIZES[1])  # three users at a time
    seen = np.random.default_rng(0).random(SIZES) < 0.4
    wanted[seen] = -np.inf
    order = np.argsort(-wanted, axis=1)[:, :3]
    ids, scores = folded.top_k(EVERY, 3, seen=sparse.csr_array(seen))
    assert (ids == order).all()
    assert np.allclose(scores, np.take_along_axis(wanted, order, 1), atol=1e-5)
    ids, _ = folded.top_k(EVERY, 2, items=np.array([1, 4, 6]), excluded=np.array([4]))
    assert (np.sort(ids, axis=1) == [1, 6]).all()


@pytest.mark.parametrize("point", POINTS[::4], ids=name_of)
def test_users_by_their_vectors(point: Any):
    """`fold_side` of a user's vectors and bias gives that user's scores."""
    network = function_of(point)
    vectors = [rows[[5, 2]] for rows in network.encoded("user")]
    bias = network.bias.squeeze(1)[[5, 2]] + network.offset
    folded = Folded(network)
    found = folded.scores_of(fold_side(network, "user", vectors, bias))
    assert torch.allclose(found, folded.scores(torch.tensor([5, 2])), atol=1e-5)


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ((("minus", "distance", (5,)),), "an inner product of 8 dimensions, biases"),
        ((("max", "linear", (5,)),), "L1 distances in 8 dimensions, biases"),
        ((("max", "distance", (5,)),), "L1 distances in 16 dimensions, biases"),
        ((("concat", "mlp", (5,)),), "L1 distances in 5 dimensions, biases"),
        ((("plus", "mlp", (5, 4)),), "an MLP on sums of 5 dimensions, biases"),
    ],
)
def test_a_fold_says_what_it_is(point: Any, words: str):
    assert Folded(function_of(point)).describe() == words

"""What makes a large catalogue affordable: batches of some of its items, and some users to judge."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from test_sif_ranking_task import Inner, clusters, made, marks, same, task_of

from nasp_core.optimise import Optimiser, Training
from nasp_core.training import train
from sif.datasets import Interactions, Split, read
from sif.metrics import rank_metrics
from sif.spaces.wide import WideNetwork
from sif.spaces.wide_points import wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingSettings, RankingTask, watched
from sif.tasks.queries import places_of
from sif.tasks.sampling import AskedItems


def network_of(task: RankingTask) -> WideNetwork:
    choices = {
        "encoding": ("id+history", "id+history"),
        "elementwise": ("identity",),
        "operation": ("multiply",),
        "predictor": ("sum",),
        "biases": ("on",),
    }
    settings = WideSettings(embedding_dim=4, init_std=0.5, l2=0.3, bias_l2=0.2)
    network = WideNetwork(task.sizes, wide_genotype(choices, settings), task.histories(), task.counts())
    network.reset(torch.Generator().manual_seed(0))
    return network


@pytest.mark.parametrize("part", ["train", "valid"])
@pytest.mark.parametrize("hidden_only", [True, False])
def test_who_draws_all_items_learns_from_the_whole_catalogue(part: Any, hidden_only: bool):
    """With so many draws no item is missed: loss, penalty and gradients are those of the plain softmax."""
    found = []
    for drawn in (0, 5000):
        task = task_of(loss="softmax", drawn=drawn, hidden_only=hidden_only)
        network, batch = network_of(task), task.stream(part, 7, 0).batch(3)
        assert (batch.inputs.odds is None) == (drawn == 0)
        loss, penalty, _ = network.training_loss(batch, None, task.loss)
        grads = torch.autograd.grad(loss + penalty, network.weights())
        found.append([loss, penalty, *grads])
    for whole, drawn in zip(*found, strict=True):
        assert torch.allclose(whole, drawn, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_items_weigh_one_over_how_often_they_are_asked_about(share: float):
    """The mean weight of each item over batches, 0 where it is absent, is 1; of each user's others too, whose sum the
    loss estimates."""
    draw = np.random.default_rng(0)
    known = draw.random((500, 40)) < np.linspace(0.002, 0.3, 40)
    asked = AskedItems(torch.from_numpy(known.sum(0)), len(known), share, 20, 6)
    generator, rounds = torch.Generator().manual_seed(0), 3000
    total, size = torch.zeros(40, dtype=torch.float64), 0
    for _ in range(rounds):
        rows = known[draw.choice(500, 20, replace=False)]
        wanted = np.nonzero(rows & (draw.random(rows.shape) < share))[1]
        items, log_odds = asked.draw(torch.from_numpy(wanted), generator)
        assert (items.diff() > 0).all()
        assert set(wanted.tolist()) <= set(items.tolist())
        total[items] += log_odds.double().exp()
        size += len(items)
    odds = asked._log_odds.double().exp()
    assert odds.max() > 3  # some are rare, and would count for too little without a weight
    assert ((total / rounds - 1).abs() < 5 * ((odds - 1) / rounds).sqrt() + 0.02).all()
    assert size / rounds == pytest.approx(asked.expected, rel=0.02)


@pytest.mark.parametrize("part", ["train", "valid"])
def test_a_batch_asks_about_what_it_wants_and_some_more(part: Any):
    task = task_of(made(users=200, items=300, density=0.03), loss="softmax", drawn=10)
    stream = task.stream(part, 8, 0)
    known = {"train": task.positives("train"), "valid": task.positives("valid")}[part].toarray()
    for step in range(20):
        batch = stream.batch(step)
        assert same(batch, task.stream(part, 8, 0).batch(step))
        users, own, items, _, hidden, odds = batch.inputs
        assert own.shape == (8, 0)
        assert len(items) == len(odds) < 150
        wanted = known[users].copy()
        if part == "train":
            away = np.zeros_like(wanted)
            away[hidden[0], hidden[1]] = True
            wanted &= away
        assert set(np.nonzero(wanted)[1]) <= set(items.tolist())
        before = task.seen("valid").toarray()[users] if part == "valid" else known[users]
        expected = np.where(wanted, 1, np.where(before, -1, 0))[:, items]
        assert (marks(batch.target, expected.shape) == expected).all()
        assert torch.allclose(batch.target.shift.exp(), odds)


def sparse_clicks(items: int, each: int) -> Interactions:
    draw = np.random.default_rng(0)
    rows = [draw.choice(items, each, replace=False) for _ in range(300)]
    cells = np.repeat(np.arange(300), each), np.concatenate(rows)
    matrix = sparse.coo_array((np.ones(300 * each, np.float32), cells), shape=(300, items))
    return Interactions.from_csr(sparse.csr_array(matrix))


@pytest.mark.parametrize(("items", "each", "some"), [(9000, 20, True), (9000, 400, False), (5000, 5, False)])
def test_a_large_catalogue_that_batches_see_little_of_is_sampled(items: int, each: int, some: bool):
    """Auto leaves alone what is small, and where a batch wants most of the catalogue itself."""
    task = task_of(sparse_clicks(items, each), loss="softmax")
    queries = task.stream("train", 64, 0).batch(0).inputs
    assert (queries.odds is not None) == some == (len(queries.shared) < task.sizes[1])
    whole = task_of(sparse_clicks(items, each), loss="softmax", drawn=0).stream("train", 64, 0).batch(0).inputs
    assert len(whole.shared) == task.sizes[1]


def test_a_part_without_users_draws_nothing():
    """A training on all pairs has no validation part; `drawn` divided by its users."""
    whole = sparse.csr_array(np.ones((4, 5)))
    rows = np.arange(20)
    cut = Split(rows, rows[:0], rows[:0], "all", 0, None, "")
    task = RankingTask(read(whole), cut, RankingSettings(loss="softmax", drawn=2))
    assert len(task.stream("valid", 2, 0)) == 0
    assert len(task.stream("train", 2, 0)) == 2


@pytest.mark.parametrize("n_items", [9, 5000])
def test_places_are_found_in_a_table_or_by_bisection(n_items: int):
    shared = torch.tensor([7, 2, 8, 0])
    assert places_of(shared, torch.tensor([8, 1, 7, 7, 0, 3]), n_items).tolist() == [2, -1, 0, 0, 3, -1]
    assert places_of(shared, shared[:0], n_items).tolist() == []


def test_planted_groups_are_found_from_some_items():
    task = task_of(clusters(), loss="softmax", drawn=5)
    training = Training(epochs=8, batch_size=6, optimiser=Optimiser("adam", 0.1), evaluate_every=0)
    assert len(task.stream("train", 6, 0).batch(0).inputs.shared) < 40
    assert train(Inner(task.sizes), task, training).metrics["ndcg@10"] > 0.3


def test_some_users_are_judged():
    task = task_of(made(users=60))
    scores = torch.from_numpy(np.random.default_rng(5).random((60, 40)).astype(np.float32))
    few, other = task.sampled(10, seed=1), task.sampled(10, seed=2)
    judged: list[int] = []

    def predict(queries: Any) -> torch.Tensor:
        judged.extend(queries.users.tolist())
        return scores[queries.users]

    found = few.evaluate(predict)
    users, judged = judged, []
    assert len(users) == 10
    assert found == task.sampled(10, seed=1).evaluate(predict)
    assert judged == users
    relevant = task.positives("valid").toarray()
    relevant[np.setdiff1d(np.arange(60), users)] = False
    expected = rank_metrics(lambda rows: scores[rows], task.seen("valid"), sparse.csr_array(relevant))
    assert found == pytest.approx(expected)
    assert other.evaluate(predict) != found != task.evaluate(predict)
    judged = []
    few.evaluate(predict, "test")
    assert len(judged) == np.count_nonzero(np.diff(task.positives("test").indptr)), "the test part stays whole"
    assert same(few.stream("train", 7, 0).batch(1), task.stream("train", 7, 0).batch(1))
    assert watched(task, 60) is task
    assert watched(task, 10, seed=1).evaluate(predict) == found

"""New users: their row says as much as training on it did, for ratings and for every ranking loss."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from nasp_core.optimise import Optimiser, Training
from nasp_core.training import train
from sif.datasets import Interactions, Split, Vocabulary, split
from sif.metrics import rank_metrics
from sif.serve import row_losses
from sif.serve.folding import Folded
from sif.serve.new_users import solve_users
from sif.serve.row_losses import Asks, RowRanking, UserRows
from sif.spaces.build import build_network
from sif.spaces.interaction import InteractionNetwork, InteractionSettings, InteractionSpace
from sif.spaces.wide import WideNetwork, WideSpace
from sif.spaces.wide_points import wide_genotype
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingSettings, RankingTask, RatingTask, Scale
from sif.tasks.ranking_losses import bce, bpr


@pytest.fixture(scope="module", params=["multiply", "max", "concat"])
def trained(request: pytest.FixtureRequest, planted: Interactions) -> tuple[InteractionNetwork, Scale]:
    settings = InteractionSettings(
        operations=(request.param,), embedding_dim=4, hidden=4, residual=True, biases=True, init_std=0.1,
        penalty="squared", l2=0.03, bias_l2=0.02, predictor_start="unit",
    )  # fmt: skip
    task = RatingTask(planted, split(planted, fractions=(1.0, 0.0, 0.0)))
    space = InteractionSpace(task.sizes, settings)
    space.reset(torch.Generator().manual_seed(0))
    network = build_network(space.genotype({"operation": (0,)}), task)
    optimiser = Optimiser(kind="adam", learning_rate=0.03)
    train(network, task, Training(epochs=60, batch_size=64, optimiser=optimiser, evaluate_every=0))
    return network, task.scale


def test_a_known_user_is_found_again(trained: tuple[InteractionNetwork, Scale], planted: Interactions):
    """Solving from a trained user's own ratings ranks the items about as their trained embedding does."""
    network, scale = trained
    folded, rows = Folded(network), sparse.csr_array(planted.user_items())
    solved = folded.scores_of(solve_users(network, rows, scale))
    known = folded.scores(torch.arange(24))
    ranks = [scores.argsort(dim=1).argsort(dim=1).double() for scores in (solved, known)]
    correlations = [float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in zip(*ranks, strict=True)]
    assert np.median(correlations) > 0.9
    target = scale.standardise(torch.from_numpy(rows.data)).numpy()
    user = np.repeat(np.arange(24), np.diff(rows.indptr))
    error = solved.numpy()[user, rows.indices] - target
    assert np.sqrt(np.mean(error**2)) < np.sqrt(np.mean(target**2))


def test_users_are_solved_for_each_alone_and_twice_alike(
    trained: tuple[InteractionNetwork, Scale], planted: Interactions
):
    network, scale = trained
    folded, rows = Folded(network), sparse.csr_array(planted.user_items())
    together = folded.scores_of(solve_users(network, rows, scale))
    assert torch.equal(together, folded.scores_of(solve_users(network, rows, scale)))
    alone = folded.scores_of(solve_users(network, rows[[5]], scale))
    assert torch.allclose(alone[0], together[5], atol=2e-3)


def test_a_user_without_ratings_is_the_mean_user(trained: tuple[InteractionNetwork, Scale]):
    network, scale = trained
    solved = solve_users(network, sparse.csr_array((2, 18), dtype=np.float32), scale)
    scores = Folded(network).scores_of(solved)
    network = copy.deepcopy(network)
    with torch.no_grad():
        network.embedding[0] = network.embedding[:24].mean(0)
        network.bias[0] = network.bias[:24].mean()
        mean = Folded(network).scores(torch.tensor([0]))
    assert torch.allclose(scores, mean.expand_as(scores), atol=1e-5)


def test_solving_leaves_the_network_alone(trained: tuple[InteractionNetwork, Scale], planted: Interactions):
    network, scale = trained
    before = {key: value.clone() for key, value in network.state_dict().items()}
    solve_users(network, sparse.csr_array(planted.user_items()), scale)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])
    assert all(parameter.requires_grad for parameter in network.parameters())


USERS, ITEMS = 80, 60


@pytest.fixture(scope="module")
def clicks() -> tuple[Interactions, Split]:
    """Clicks of users with tastes in three dimensions, on items of unlike popularity; a fifth is test."""
    generator = np.random.default_rng(1)
    taste, kind = generator.normal(size=(USERS, 3)), generator.normal(size=(ITEMS, 3))
    wish = taste @ kind.T * 1.5 + generator.normal(size=ITEMS) + generator.gumbel(size=(USERS, ITEMS))
    chosen = np.argsort(-wish, axis=1)[:, :18]
    user, item = np.arange(USERS).repeat(18), chosen.reshape(-1)
    names = Vocabulary(range(USERS)), Vocabulary(range(ITEMS))
    data = Interactions(user, item, None, None, None, *names, name="clicks")
    return data, split(data, fractions=(0.8, 0.0, 0.2))


def wide_of(
    task: Any,
    encoding: str,
    *,
    biases: str = "on",
    elementwise: str = "identity",
    predictor: str = "sum",
    **settings: Any,
) -> WideNetwork:
    values: dict[str, Any] = {"predictors": (predictor,), "embedding_dim": 6, "init_std": 0.1, "l2": 0.01}
    values |= {"elementwise": (elementwise,)} | settings
    values["encodings"] = tuple(dict.fromkeys((encoding, "id")))
    made = WideSettings(**values)
    choices = {
        "encoding": (encoding, "id"),
        "elementwise": (elementwise,),
        "operation": ("multiply",),
        "predictor": (predictor,),
        "biases": (biases,),
    }
    space = WideSpace(task.sizes, made, task.histories(), task.counts())
    network = space.build(wide_genotype(choices, made))
    network.reset(torch.Generator().manual_seed(0))
    return network


def learn(network: WideNetwork, task: Any, epochs: int = 40) -> WideNetwork:
    training = Training(
        epochs=epochs, batch_size=64, optimiser=Optimiser(kind="adam", learning_rate=0.03), evaluate_every=0
    )
    train(network, task, training)
    return network


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["id", "id+history", "propagated", "id+tied-history"])
@pytest.mark.parametrize(
    ("loss", "predictor"),
    [(loss, "sum") for loss in ("softmax", "sampled-softmax", "bpr", "bce", "ccl", "degree-bce")]
    + [(loss, "cosine") for loss in ("softmax", "bpr", "ccl")],
)
def test_a_known_user_is_ranked_for_as_well_as_trained(
    loss: str, predictor: str, encoding: str, clicks: tuple[Interactions, Split]
):
    """NDCG@10 on the test part of users who are solved for is at least 0.9 of what it is with their trained vectors."""
    settings = RankingSettings(loss=loss, negatives={"softmax": 1, "sampled-softmax": 32}.get(loss, 2))
    task = RankingTask(*clicks, settings)
    network = learn(wide_of(task, encoding, predictor=predictor), task)
    folded = Folded(network)
    side = solve_users(network, rows_of(task), settings)
    popular = torch.from_numpy(task.positives("train").sum(axis=0)).float()
    known, solved, chance = (
        rank_metrics(scores, task.seen("test"), task.positives("test"), k=(10,))["ndcg@10"]
        for scores in (
            folded.scores,
            lambda users: folded.scores_of(side.rows(users)),
            lambda users: popular.expand(len(users), -1),
        )
    )
    assert known > 1.1 * chance  # there is something to find
    assert solved > 0.9 * known


def rows_of(task: RankingTask) -> sparse.csr_array:
    return task.positives("train").astype(np.float32)


@pytest.mark.parametrize("predictor", ["sum", "cosine"])
@pytest.mark.parametrize("elementwise", ["identity", "sigmoid", "tanh", "network"])
def test_a_history_alone_needs_no_solving(elementwise: str, predictor: str, clicks: tuple[Interactions, Split]):
    """Of a user known by their history, the row is all there is: the scores are those of the network."""
    task = RankingTask(*clicks, RankingSettings())
    network = learn(
        wide_of(task, "history", biases="off", elementwise=elementwise, predictor=predictor), task, epochs=2
    )
    side = solve_users(network, rows_of(task), RankingSettings())
    folded = Folded(network)
    assert torch.allclose(folded.scores_of(side), folded.scores(torch.arange(USERS)), atol=1e-5)


def test_ranked_users_are_solved_for_each_alone_and_twice_alike(
    clicks: tuple[Interactions, Split], monkeypatch: pytest.MonkeyPatch
):
    settings = RankingSettings(loss="bce", negatives=2)
    task = RankingTask(*clicks, settings)
    network = learn(wide_of(task, "id+history"), task, epochs=5)
    folded, rows = Folded(network), rows_of(task)
    together = folded.scores_of(solve_users(network, rows, settings))
    assert torch.equal(together, folded.scores_of(solve_users(network, rows, settings)))
    assert torch.allclose(folded.scores_of(solve_users(network, rows[[7]], settings))[0], together[7], atol=2e-3)
    monkeypatch.setattr("sif.serve.new_users._BLOCK", 8 * ITEMS * 30)  # thirty users at a time
    assert torch.allclose(folded.scores_of(solve_users(network, rows, settings)), together, atol=2e-3)


def test_nobody_and_an_empty_row(clicks: tuple[Interactions, Split]):
    settings = RankingSettings()
    task = RankingTask(*clicks, settings)
    network = learn(wide_of(task, "id+history"), task, epochs=2)
    assert len(solve_users(network, sparse.csr_array((0, ITEMS)), settings)) == 0
    side = solve_users(network, sparse.csr_array((1, ITEMS)), settings)
    (encoder,) = {network.encoders[0]}
    mean = encoder.id.mean(0) @ network.encoders[1].id.T + network.bias[USERS:, 0]
    mean += network.offset + network.bias[:USERS].mean()
    assert torch.allclose(Folded(network).scores_of(side)[0], mean, atol=1e-5)


def test_an_entry_given_twice_counts_once(clicks: tuple[Interactions, Split]):
    settings = RankingSettings()
    task = RankingTask(*clicks, settings)
    network = wide_of(task, "id+history")
    row = sparse.csr_array((np.ones(3), np.array([4, 9, 2]), np.array([0, 3])), shape=(1, ITEMS))
    twice = sparse.csr_array((np.ones(4), np.array([4, 9, 2, 9]), np.array([0, 4])), shape=(1, ITEMS))
    folded = Folded(network)
    scores = [folded.scores_of(solve_users(network, rows, settings)) for rows in (row, twice)]
    assert torch.allclose(*scores, atol=1e-5)
    assert twice.nnz == 4


@pytest.mark.parametrize("encoding", ["id", "id+history", "history"])
def test_ratings_of_a_known_user_are_predicted_as_well(encoding: str, planted: Interactions):
    """The mean squared error on the users' own test ratings stays within a tenth of that of their trained vectors."""
    cut = split(planted, fractions=(0.8, 0.0, 0.2))
    task = RatingTask(planted, cut)
    network = learn(wide_of(task, encoding, l2=0.02), task, epochs=60)
    (inputs, target), train_part = task.part("test"), cut.train
    ratings = (planted.rating[train_part], (planted.user[train_part], planted.item[train_part]))
    side = solve_users(network, sparse.csr_array(ratings, shape=task.sizes), task.scale)
    folded = Folded(network)
    errors = [
        float((scores[inputs[0], inputs[1]] - target).square().mean())
        for scores in (folded.scores(torch.arange(task.sizes[0])), folded.scores_of(side))
    ]
    assert errors[1] < 1.1 * errors[0]
    assert errors[0] < float(target.square().mean())


def test_the_penalty_of_training_holds(clicks: tuple[Interactions, Split]):
    """A larger l2 shrinks what is solved for, and l2_frequency shrinks users with many entries less."""
    settings = RankingSettings()
    task = RankingTask(*clicks, settings)
    rows = rows_of(task)[:2].tolil()
    rows[0, 1:] = 0
    rows[0, :2] = 1
    norms = {}
    for power in (0.0, 1.0):
        for l2 in (0.01, 0.1):
            network = wide_of(task, "id", biases="off", l2=0.01, l2_frequency=power)
            network.settings = replace(network.settings, l2=l2)
            norms[power, l2] = solve_users(network, sparse.csr_array(rows), settings).product.norm(dim=1)
    assert (norms[0.0, 0.1] < norms[0.0, 0.01]).all()
    few, many = norms[1.0, 0.1] / norms[0.0, 0.1]
    assert many > few


def example(loss: str, negatives: int = 1, **more: Any) -> tuple[RowRanking, torch.Tensor, list[list[int]]]:
    """Two users, of three and of two entries, asked about in two folds each; scores `[4, 7]`."""
    lists = [[0, 3, 5], [1, 6]]
    rows = UserRows.of(sparse.csr_array(np.array([[i in row for i in range(7)] for row in lists], np.float32)))
    asks = Asks(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 2, 3]), [None])
    drawn = torch.arange(1.0, 8.0) / 28
    settings = RankingSettings(loss=loss, negatives=negatives, **more)
    return (
        RowRanking(settings, rows, asks, drawn, COUNTS),
        torch.randn(4, 7, generator=torch.Generator().manual_seed(0)),
        lists,
    )


COUNTS = torch.tensor([9, 0, 4, 2, 2, 30, 1])
"""Training pairs of the items of the example."""
FOLDS = {(0, 0): 0, (0, 3): 1, (0, 5): 0, (1, 1): 2, (1, 6): 3}
"""User and item of the example: the ask about it."""


def test_the_softmax_of_rows():
    ranking, scores, lists = example("softmax")
    total = 0.0
    for (user, item), ask in FOLDS.items():
        shown = [other for other in lists[user] if FOLDS[user, other] != ask]
        kept = [other for other in range(7) if other not in shown]
        total += float(scores[ask, kept].logsumexp(0) - scores[ask, item]) / len(lists[user])
    assert float(ranking.loss(scores, 0)) == pytest.approx(total, rel=1e-5)


def test_the_cross_entropy_of_rows_is_the_expected_one():
    """Training's own loss over items drawn as training draws them, in the mean."""
    ranking, scores, lists = example("bce", negatives=3)
    total = 0.0
    for (user, item), ask in FOLDS.items():
        others = [other for other in range(7) if other not in lists[user]]
        drawn = ranking.drawn[others] / ranking.drawn[others].sum()
        target = torch.tensor([[1, 0, 0, 0]], dtype=torch.int8)
        for other, weight in zip(others, drawn, strict=True):
            output = scores[ask, [item, other, other, other]].unsqueeze(0)
            total += float(weight * bce(output, target)) / len(lists[user])
    assert float(ranking.loss(scores, 0)) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("loss", ["ccl", "degree-bce"])
def test_other_losses_of_rows_are_the_expected_ones(loss: str):
    """Training's own loss over items drawn as training draws them, in the mean."""
    more = {"margin": 0.1, "negative_weight": 5.0} if loss == "ccl" else {"degree_weight": 3.0}
    ranking, scores, lists = example(loss, negatives=3, **more)
    total = 0.0
    for (user, item), ask in FOLDS.items():
        others = [other for other in range(7) if other not in lists[user]]
        drawn = ranking.drawn[others] / ranking.drawn[others].sum()
        for other, weight in zip(others, drawn, strict=True):
            asked = [item, other, other, other]
            target = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
            if loss == "degree-bce":
                degree = len(lists[user])
                shares = torch.tensor([((degree + 1) / (int(COUNTS[i]) + 1)) ** 0.5 / degree for i in asked])
                target = (1 + 3.0 * shares) * torch.tensor([[1.0, -1.0, -1.0, -1.0]])
            value = ranking.settings.loss_function()(scores[ask, asked].unsqueeze(0), target)
            total += float(weight * value) / len(lists[user])
    assert float(ranking.loss(scores, 0)) == pytest.approx(total, rel=1e-5)


def test_the_bpr_of_rows_is_the_expected_one(monkeypatch: pytest.MonkeyPatch):
    ranking, scores, lists = example("bpr")
    total = 0.0
    for (user, item), ask in FOLDS.items():
        others = [other for other in range(7) if other not in lists[user]]
        drawn = ranking.drawn[others] / ranking.drawn[others].sum()
        for other, weight in zip(others, drawn, strict=True):
            output = scores[ask, [item, other]].unsqueeze(0)
            total += float(weight * bpr(output, torch.tensor([[1, 0]], dtype=torch.int8))) / len(lists[user])
    assert float(ranking.loss(scores, 0)) == pytest.approx(total, rel=1e-5)
    monkeypatch.setattr(row_losses, "_SAMPLE", 3)  # a comb of three items, which reaches all in seven steps
    found = [float(ranking.loss(scores, step)) for step in range(7)]
    assert len({round(each, 6) for each in found}) > 3
    assert np.mean(found) == pytest.approx(total, rel=0.2)

"""The ranking task: batches, negatives, parts and metrics against independent counts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor, nn

from nasp_core.loop import Observer
from nasp_core.network import Network
from nasp_core.optimise import Optimiser, Training
from nasp_core.training import train
from nasp_core.types import Batch, Mixture
from sif.datasets import Interactions, Split, split
from sif.encodings.histories import Histories
from sif.errors import DataError
from sif.metrics import rank_metrics
from sif.tasks import RankingSettings, RankingTask
from sif.tasks.queries import Queries
from sif.tasks.ranking_losses import Marked

PAIR_LOSSES = ("sampled-softmax", "bpr", "bce", "ccl", "degree-bce")


class Inner(Network):
    """An inner product of two embeddings that answers Queries."""

    def __init__(self, sizes: tuple[int, int], dim: int = 8) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(sizes[0], dim), nn.Embedding(sizes[1], dim)

    def reset(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            for table in (self.user.weight, self.item.weight):
                table.copy_(torch.randn(table.shape, generator=generator) * 0.1)

    def forward(self, inputs: Any, mixture: Mixture | None = None) -> Tensor:
        users = self.user(inputs.users)
        own = torch.einsum("nd,nkd->nk", users, self.item(inputs.own))
        return torch.cat([own, users @ self.item(inputs.shared).T], dim=1)


def made(seed: int = 0, users: int = 30, items: int = 40, density: float = 0.2) -> Interactions:
    draw = np.random.default_rng(seed)
    matrix = np.where(draw.random((users, items)) < density, draw.integers(1, 6, (users, items)), 0)
    return Interactions.from_csr(sparse.csr_array(matrix.astype(np.float32)))


def task_of(data: Interactions | None = None, seed: int = 0, **settings: Any) -> RankingTask:
    data = made() if data is None else data
    chosen = {"negatives": 4} if settings.get("loss") == "sampled-softmax" else {}
    return RankingTask(data, split(data, "random", (0.6, 0.2, 0.2), seed), RankingSettings(**chosen | settings))


def same(one: Batch, two: Batch) -> bool:
    parts = zip(
        *((*b.inputs, *(b.target if isinstance(b.target, Marked) else [b.target])) for b in (one, two)), strict=True
    )
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in parts)


def marks(target: Marked, shape: tuple[int, int]) -> np.ndarray:
    """int [n, c]: 1 wanted, -1 left out, 0 neither; no place twice."""
    places = list(zip(target.row.tolist(), target.column.tolist(), strict=True))
    assert len(set(places)) == len(places)
    table = np.zeros(shape, int)
    table[target.row, target.column] = np.where(target.wanted, 1, -1)
    return table


def dense(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.todense()).astype(bool)


def table(data: Interactions, rows: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    """Bool [users, items], by a loop."""
    marks = np.zeros((data.n_users, data.n_items), bool)
    for row in rows:
        if data.rating is None or data.rating[row] >= threshold:
            marks[data.user[row], data.item[row]] = True
    return marks


@pytest.mark.parametrize("threshold", [None, 3.0])
@pytest.mark.parametrize("kind", ["random", "user", "leave-last-out", "temporal"])
def test_positives_and_seen_are_those_of_the_parts(kind: str, threshold: float | None):
    data = made()
    data = replace(data, timestamp=np.random.default_rng(1).permutation(len(data)))
    cut = split(data, kind, (0.6, 0.2, 0.2))
    task = RankingTask(data, cut, RankingSettings(threshold=threshold))
    parts = {part: getattr(cut, part) for part in ("train", "valid", "test")}
    for part, rows in parts.items():
        assert (dense(task.positives(part)) == table(data, rows, threshold or 0.0)).all()
    assert not dense(task.seen("train")).any()
    assert (dense(task.seen("valid")) == table(data, cut.train)).all()
    assert (dense(task.seen("test")) == table(data, np.concatenate([cut.train, cut.valid]))).all()
    train = dense(task.positives("train"))
    assert task.counts().tolist() == [*train.sum(1), *train.sum(0)]
    assert task.counts().dtype == torch.int64
    pairs = (torch.from_numpy(ids) for ids in np.nonzero(train))
    for found, expected in zip(task.histories()[:4], Histories.of(*pairs, task.sizes)[:4], strict=True):
        assert torch.equal(found, expected)


def test_a_pair_met_in_several_contexts_is_one_positive():
    data = made().take(np.repeat(np.arange(60), 2))
    cut = Split(np.arange(100), np.arange(100, 110), np.arange(110, 120), "files", 0, None, "")
    task = RankingTask(data, cut)
    assert len(task.positives("train").indices) == 50
    assert int(task.counts()[: data.n_users].sum()) == 50


@pytest.mark.parametrize("loss", ["softmax", *PAIR_LOSSES])
@pytest.mark.parametrize("part", ["train", "valid"])
def test_a_batch_is_a_function_of_seed_and_step(loss: str, part: Any):
    task = task_of(loss=loss)
    stream, again, other = (task.stream(part, 7, seed) for seed in (3, 3, 4))
    assert len(stream) > 2
    batches = [stream.batch(step) for step in range(2 * len(stream))]
    for step in reversed(range(2 * len(stream))):  # any step may be asked for first
        assert same(batches[step], again.batch(step))
    assert not same(batches[0], other.batch(0))
    assert not same(batches[0], batches[len(stream)])  # another order in each pass


@pytest.mark.parametrize("loss", PAIR_LOSSES)
@pytest.mark.parametrize("part", ["train", "valid"])
def test_every_pass_holds_each_positive_once(loss: str, part: Any):
    task = task_of(loss=loss)
    stream = task.stream(part, 7, 0)
    for index in range(2):
        batches = [stream.batch(index * len(stream) + offset).inputs for offset in range(len(stream))]
        pairs = sorted((u, i) for b in batches for u, i in zip(b.users.tolist(), b.own[:, 0].tolist(), strict=True))
        assert pairs == [tuple(pair) for pair in np.argwhere(dense(task.positives(part))).tolist()]
        assert all(b.first == (part == "train") and b.hidden is None for b in batches)


@pytest.mark.parametrize("loss", ["bpr", "bce", "ccl"])
@pytest.mark.parametrize("power", [0.0, 1.0])
@pytest.mark.parametrize("part", ["train", "valid"])
def test_negatives_are_unknown_to_the_user(loss: str, power: float, part: Any):
    """Never a training positive; for validation nothing that was seen in training, nor a positive of validation."""
    task = task_of(loss=loss, negatives=3, negative_power=power, threshold=3.0)
    known = dense(task.positives("train"))
    if part == "valid":
        known = known | dense(task.seen("valid")) | dense(task.positives("valid"))
    stream, low_rated = task.stream(part, 16, 0), 0
    for step in range(3 * len(stream)):
        (users, own, *_), target = stream.batch(step)[:2]
        assert own.shape == target.shape == (len(users), 4)
        assert target[:, 0].tolist() == [1] * len(users)
        assert (target[:, 1:] == 0).all()
        assert not known[users[:, None], own[:, 1:]].any()
        low_rated += dense(task.seen("valid"))[users[:, None], own[:, 1:]].sum()
    assert (low_rated > 0) == (part == "train")  # what was rated low in training may be a negative of training


@pytest.mark.parametrize("weight", ["none", "confidence"])
@pytest.mark.parametrize("part", ["train", "valid"])
def test_terms_are_weighed_by_the_degrees_of_training(part: Any, weight: str):
    """UltraGCN: 1 + lambda / d_u sqrt((d_u + 1) / (d_i + 1)), of a positive and (turned round) of drawn items."""
    data = made()
    chosen = {"negatives": 3, "degree_weight": 2.5, "weight": weight}
    task = task_of(replace(data, weight=data.rating), loss="degree-bce", **chosen)
    plain = task_of(replace(data, weight=data.rating), loss="bce", negatives=3, weight=weight)
    train = dense(task.positives("train"))
    d_u, d_i = train.sum(1), train.sum(0)
    stream, as_bce = task.stream(part, 16, 0), plain.stream(part, 16, 0)
    for step in range(len(stream)):
        (users, own, *_), target = stream.batch(step)[:2]
        same_items, bce_target = as_bce.batch(step)[:2]
        assert torch.equal(own, same_items.own)
        for u, items, found, before in zip(
            users.tolist(), own.tolist(), target.tolist(), bce_target.tolist(), strict=True
        ):
            for place, (i, mark) in enumerate(zip(items, found, strict=True)):
                beta = 2.5 * np.sqrt((max(1, d_u[u]) + 1) / (d_i[i] + 1)) / max(1, d_u[u])
                assert mark == pytest.approx((1 + beta) * (before[0] if place == 0 else -1.0), rel=1e-5)
    everything = np.ones((2, 8), np.float32)
    rows = np.arange(16)
    cut = Split(rows, rows[:0], rows[:0], "files", 0, None, "")
    full = RankingTask(Interactions.from_csr(sparse.csr_array(everything)), cut, RankingSettings(loss="degree-bce"))
    target = full.stream("train", 16, 0).batch(0).target
    assert (target[:, 0] > 1).all()
    assert (target[:, 1:] == 0).all()  # nothing to draw: left out


def test_who_knows_everything_has_no_negatives():
    """Two users: one with all items, one with half of them."""
    matrix = np.ones((2, 8), np.float32)
    matrix[1, ::2] = 0
    data = Interactions.from_csr(sparse.csr_array(matrix))
    rows = np.arange(len(data))
    task = RankingTask(data, Split(rows, rows[:0], rows[:0], "files", 0, None, ""), RankingSettings(loss="bpr"))
    stream = task.stream("train", 12, 0)
    (users, own, *_), target = stream.batch(0)[:2]
    assert target[users == 0, 1].tolist() == [-1] * 8
    assert target[users == 1, 1].tolist() == [0] * 4
    assert (own[users == 1, 1] % 2 == 0).all()
    assert float(task.loss(torch.zeros(12, 2), target)) == pytest.approx(np.log(2))
    assert len(task.stream("valid", 12, 0)) == 0


@pytest.mark.parametrize("part", ["train", "valid"])
def test_sampled_softmax_batches_carry_their_correction(part: Any):
    """Left out are accidental hits, and for validation what was seen in training."""
    task = task_of(loss="sampled-softmax", negatives=50, negative_power=0.5)
    counts = task.counts()[30:].double()
    shift = -np.log(50) - (counts.sqrt() / counts.sqrt().sum()).log().numpy()
    seen, left_out = dense(task.seen(part)), 0
    for step in range(3):
        (users, own, shared, *_), target = task.stream(part, 9, 0).batch(step)[:2]
        assert (own.shape, shared.shape) == ((9, 1), (50,))
        assert target.shift.tolist() == pytest.approx([0.0, *shift[shared]], abs=1e-5)
        found = marks(target, (9, 51))
        assert (found[:, 0] == 1).all()
        out = (shared == own).numpy() | seen[users][:, shared]
        assert (found[:, 1:] == np.where(out, -1, 0)).all()
        left_out += out.sum()
    assert left_out > 0


@pytest.mark.parametrize("hidden_only", [True, False])
def test_users_are_asked_for_what_is_hidden(hidden_only: bool):
    task = task_of(loss="softmax", hidden_share=0.3, hidden_only=hidden_only)
    known, stream = dense(task.positives("train")), task.stream("train", 7, 0)
    hidden_pairs, pairs = 0, 0
    for index in range(40):
        asked = []
        for offset in range(len(stream)):
            (users, own, shared, first, hidden, _), target = stream.batch(index * len(stream) + offset)[:2]
            assert (own.shape, shared.tolist(), first) == ((len(users), 0), list(range(40)), False)
            mine = known[users]
            away = np.zeros_like(mine)
            away[hidden[0], hidden[1]] = True
            assert hidden.tolist() == np.stack(np.nonzero(away)).tolist()  # sorted by row, no pair twice
            assert not (away & ~mine).any()
            expected = np.where(away, 1, np.where(mine, -1 if hidden_only else 1, 0))
            assert (marks(target, expected.shape) == expected).all()
            asked += users.tolist()
            hidden_pairs, pairs = hidden_pairs + away.sum(), pairs + mine.sum()
        assert sorted(asked) == np.flatnonzero(known.any(1)).tolist()
    assert abs(hidden_pairs / pairs - 0.3) < 4 * np.sqrt(0.3 * 0.7 / pairs)  # four standard deviations


@pytest.mark.parametrize("overlap", [False, True])
def test_validation_hides_nothing_and_leaves_out_what_was_seen(overlap: bool):
    """A pair that is in both parts (in two contexts) is predicted, as it is ranked."""
    data = made()
    cut = split(data, "random", (0.6, 0.2, 0.2))
    if overlap:
        cut = replace(cut, valid=np.concatenate([cut.valid, cut.train[:20]]))
    task = RankingTask(data, cut, RankingSettings(threshold=3.0))
    stream, asked = task.stream("valid", 7, 0), []
    for step in range(len(stream)):
        queries, target = stream.batch(step)[:2]
        assert queries.hidden is None
        seen, wanted = (dense(of)[queries.users] for of in (task.seen("valid"), task.positives("valid")))
        assert (marks(target, seen.shape) == np.where(wanted, 1, np.where(seen, -1, 0))).all()
        asked += queries.users.tolist()
    assert sorted(asked) == np.flatnonzero(dense(task.positives("valid")).any(1)).tolist()
    assert (dense(task.seen("valid")) & dense(task.positives("valid"))).any() == overlap


def test_evaluation_is_that_of_rank_metrics(monkeypatch: pytest.MonkeyPatch):
    task = task_of(metric="recall", k=3, threshold=2.0)
    scores = torch.from_numpy(np.random.default_rng(5).integers(0, 9, (30, 40)).astype(np.float32))
    asked = []

    def predict(queries: Queries) -> Tensor:
        assert queries.own.shape == (len(queries.users), 0)
        assert queries.shared.tolist() == list(range(40))
        asked.append(len(queries.users))
        return scores[queries.users]

    for part in ("valid", "test"):
        expected = rank_metrics(lambda users: scores[users], task.seen(part), task.positives(part), k=(3,))
        assert task.evaluate(predict, part) == pytest.approx(expected, abs=1e-12)
        assert task.metric in expected
    assert (task.metric, task.test_reads) == ("recall@3", 1)
    monkeypatch.setattr("sif.tasks.ranking._SCORES", 100)  # two users of 40 items at once
    asked.clear()
    assert task.evaluate(predict)["ndcg@3"] == pytest.approx(
        rank_metrics(lambda users: scores[users], task.seen("valid"), task.positives("valid"), k=(3,))["ndcg@3"]
    )
    assert set(asked[:-1]) == {2}


def clusters() -> Interactions:
    """Users of three groups that meet the items of their own group alone, half of them."""
    draw = np.random.default_rng(0)
    matrix = (np.arange(60)[:, None] % 3 == np.arange(45) % 3) & (draw.random((60, 45)) < 0.5)
    return Interactions.from_csr(sparse.csr_array(matrix))


@pytest.mark.parametrize("loss", ["softmax", *PAIR_LOSSES])
def test_every_loss_finds_planted_groups(loss: str):
    """A third of the items fit: at random ndcg@10 is about .1, with the groups known about .3 or more."""
    task = task_of(clusters(), loss=loss)
    training = Training(epochs=40, batch_size=64, optimiser=Optimiser("adam", 0.03), evaluate_every=0)
    trained = train(Inner(task.sizes), task, training)
    assert trained.metrics["ndcg@10"] > 0.3
    assert trained.metrics["ndcg@10"] == task.evaluate(lambda queries: trained.network(queries).detach())["ndcg@10"]


def test_losses_of_half_precision_are_computed_in_single():
    task = task_of(loss="softmax")
    target = task.stream("train", 5, 0).batch(0).target
    output = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert float(task.loss(output, target)) == float(task.loss(output.float(), target))


class Stop(Observer):
    """Saves after some steps, and ends the run there."""

    def __init__(self, after: int) -> None:
        self.left, self.saved = after, None

    def stepped(self) -> None:
        self.left -= 1

    def checkpoint_due(self) -> bool:
        return self.left == 0

    def save(self, packed: Any) -> None:
        self.saved = packed
        raise KeyboardInterrupt


@pytest.mark.parametrize("weight", ["none", "confidence"])
@pytest.mark.parametrize("loss", ["softmax", *PAIR_LOSSES])
def test_a_resumed_training_ends_as_one_never_stopped(loss: str, weight: str):
    """Stopped in the middle of the second of three epochs."""
    data = made()
    task = task_of(replace(data, weight=data.rating), loss=loss, weight=weight)
    training = Training(epochs=3, batch_size=11, optimiser=Optimiser("adam", 0.01))
    whole, stop = Inner(task.sizes), Stop(len(task.stream("train", 11, 0)) * 3 // 2)
    trace = train(whole, task, training).trace
    with pytest.raises(KeyboardInterrupt):
        train(Inner(task.sizes), task, training, observer=stop)
    resumed = Inner(task.sizes)
    assert train(resumed, task, training, resume=stop.saved).trace == trace
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


@pytest.mark.parametrize(
    ("settings", "messages"),
    [
        ({"loss": "hinge"}, ["loss = 'hinge'; there are softmax, sampled-softmax, bpr, bce"]),
        ({"metric": "auc"}, ["metric = 'auc'; there are ndcg, recall"]),
        ({"k": 0}, ["k = 0; judge 1 place or more"]),
        ({"loss": "bpr", "negatives": 0}, ["negatives = 0 with bpr; draw 1 items or more"]),
        ({"loss": "sampled-softmax"}, ["negatives = 1 with sampled-softmax; draw 2 items or more"]),
        ({"loss": "bce", "negative_power": -1.0}, ["negative_power = -1.0; give 0 \\(uniform\\) or more"]),
        ({"loss": "bce", "negative_power": float("nan")}, ["negative_power = nan"]),
        ({"hidden_share": 0.0}, ["hidden_share = 0.0; give a share above 0 and below 1"]),
        ({"hidden_share": 1.0}, ["hidden_share = 1.0"]),
        ({"drawn": -1}, ["drawn = -1; give 0"]),
        ({"drawn": "some"}, ["drawn = 'some'; give 0 .the whole catalogue. or more, such as 500, or auto"]),
        ({"loss": "bpr", "drawn": 9}, ["drawn = 9 with bpr, which has none; leave it out, or use softmax"]),
        ({"loss": "bpr", "margin": 0.5}, ["margin = 0.5 with bpr, which has none; leave it out, or use ccl"]),
        ({"loss": "ccl", "margin": float("nan")}, ["margin = nan; give a score, such as 0.4"]),
        ({"loss": "ccl", "negative_weight": 0.0}, ["negative_weight = 0.0; give a number above 0"]),
        ({"loss": "bce", "degree_weight": 2.0}, ["degree_weight = 2.0 with bce, which has none; .* use degree-bce"]),
        ({"loss": "degree-bce", "degree_weight": -1.0}, ["degree_weight = -1.0; give 0 .as bce. or more"]),
        ({"threshold": float("inf")}, ["threshold = inf; give a rating, such as 4"]),
        (
            {"negatives": 5, "negative_power": 0.5},
            ["ranking negatives = 5 with softmax, which has none", "ranking negative_power = 0.5 with softmax"],
        ),
        (
            {"loss": "bpr", "hidden_share": 0.3, "hidden_only": False},
            ["hidden_share = 0.3 with bpr, which has none; leave it out, or use softmax", "hidden_only = False with"],
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], messages: list[str]):
    for message in messages:
        with pytest.raises(DataError, match=message):
            RankingSettings(**settings)


def test_data_that_cannot_be_ranked_are_refused():
    data = made()
    with pytest.raises(DataError, match="no rating of the train part is 6 or more; the highest is 5"):
        task_of(data, threshold=6.0)
    with pytest.raises(DataError, match="matrix has no ratings, and threshold = 4 is of ratings"):
        task_of(replace(data, rating=None), threshold=4.0)
    rows = np.arange(len(data))
    with pytest.raises(DataError, match="matrix: the train part is empty; there is nothing to learn from"):
        RankingTask(data, Split(rows[:0], rows, rows[:0], "files", 0, None, ""))
    task = RankingTask(data, Split(rows, rows[:0], rows[:0], "files", 0, None, ""))
    assert len(task.stream("valid", 8, 0)) == 0
    with pytest.raises(DataError, match="matrix: the valid part is empty, and a ranking cannot be judged on it"):
        task.evaluate(lambda queries: torch.zeros(len(queries.users), 40))
    with pytest.raises(ValueError, match="no batches are made of the test part"):
        task.stream("test", 8, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("softmax", "a batch of 30 users with 40 items each has 1200 scores, .*batch_size of 5 or less, or use loss"),
        ("bpr", ""),
        ("sampled-softmax", "a batch of 100 pairs with 5 items each .* batch_size of 40 or less or fewer negatives"),
    ],
)
def test_batches_that_would_not_fit_are_refused(loss: str, message: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sif.tasks.ranking_streams.MOST_SCORES", 200)
    task = task_of(loss=loss)
    if not message:
        assert len(task.stream("train", 100, 0).batch(0).target) == 100  # just fits
        return
    with pytest.raises(DataError, match="(?s)" + message):
        task.stream("train", 100, 0)

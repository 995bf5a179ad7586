"""Plays, purchases and repeats as confidence: read at every door, used by every ranking loss, by default by none."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from sif_samples import sets, write_ratings
from test_sif_prepare import fixes, ready
from test_sif_ranking_run import SMALL
from test_sif_ranking_task import PAIR_LOSSES, Inner
from typer.testing import CliRunner

import sif
from nasp_core.optimise import Optimiser, Training
from nasp_core.training import train
from sif.cli import app
from sif.compare.entrants import entrants
from sif.compare.source import open_run
from sif.datasets import ColumnNames, Interactions, Split, Vocabulary, read, read_parts, split
from sif.errors import DataError, RecipeError
from sif.problems.recipes import load_rating_recipe
from sif.recipes import changes_of
from sif.rivals.known import METHODS
from sif.rivals.pair_table import PairTable
from sif.tasks import RankingSettings, RankingTask
from sif.tasks.ranking_losses import Marked, degree_shares

CONFIDENCE, REPEATS = "ranking.weight=confidence", "ranking.weight=repeats"
WEIGHT = ColumnNames(weight=True)
LOSSES = ("softmax", *PAIR_LOSSES)


def played(name: str = "plays") -> pl.DataFrame:
    """Ten users and twelve items; row k was met 1 + k % 4 times, and every tenth not at all."""
    rows = [(k % 10, k // 10, 0 if k % 10 == 9 else 1 + k % 4) for k in range(120)]
    return pl.DataFrame(rows, schema=["user", "item", name], orient="row")


def weights_of(data: Interactions) -> dict[tuple[Any, Any], float]:
    pairs = zip(data.users.decode(data.user), data.items.decode(data.item), strict=True)
    return dict(zip(pairs, data.weight.tolist(), strict=True))


EXPECTED = {(k % 10, k // 10): 1.0 + k % 4 for k in range(120) if k % 10 != 9}


def source_of(door: str, folder: Path) -> Any:
    frame, path = played(), folder / door
    if door in ("matrix", "plays.npz"):
        matrix = sparse.coo_array((frame["plays"].to_numpy(), (frame["user"].to_numpy(), frame["item"].to_numpy())))
        return matrix if door == "matrix" else (sparse.save_npz(path, matrix), path)[1]
    if door == "parts":
        path.mkdir()
        frame[:50].write_csv(path / "part-0.csv")
        frame[50:].write_csv(path / "part-1.csv")
        return path
    write = {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}.get(path.suffix)
    if write is not None:
        write(path)
        return path
    return frame if door == "polars" else pd.DataFrame(frame.to_dict(as_series=False))


@pytest.mark.parametrize(
    "door", ["plays.csv", "plays.jsonl", "plays.parquet", "parts", "plays.npz", "polars", "pandas", "matrix"]
)
def test_every_door_reads_weights_where_they_are_asked_for(door: str, tmp_path: Path):
    source = source_of(door, tmp_path)
    made = ready(source, "clicks", CONFIDENCE).interactions
    assert weights_of(made) == EXPECTED
    assert made.weight.dtype == np.float32
    assert weights_of(read(source, columns=WEIGHT)) == EXPECTED
    assert ready(source, "clicks").interactions.weight is None
    assert read(source).weight is None


def test_a_column_by_name_or_position_and_without_header(tmp_path: Path):
    frame = played("heard")
    made = ready(frame, "clicks", CONFIDENCE, "columns.weight=heard").interactions
    assert weights_of(made) == EXPECTED
    frame.write_csv(tmp_path / "bare.csv", include_header=False)
    names = ["columns.user=1", "columns.item=2", "columns.weight=3"]
    assert weights_of(ready(tmp_path / "bare.csv", "clicks", CONFIDENCE, *names).interactions) == EXPECTED
    rated = played("rating")  # a column that is named as weight is not taken as rating beside
    assert weights_of(ready(rated, "clicks", CONFIDENCE, "columns.weight=rating").interactions) == EXPECTED
    typed = [word for change in names for word in ("--set", change)]
    done = CliRunner().invoke(app, ["datasets", "describe", str(tmp_path / "bare.csv"), *typed, "--json"])
    assert json.loads(done.output)["weight"]["max"] == 4


def test_repeated_pairs_add_up_and_each_row_of_0_or_less_is_left_out():
    rows = [(k % 10, k // 10, 2) for k in range(50)] + [(0, 0, 5), (0, 0, -4), (1, 0, 0), (2, 0, 1)]
    frame = pl.DataFrame(rows, schema=["user", "item", "quantity"], orient="row")
    made = ready(frame, "clicks", CONFIDENCE).interactions
    assert [weights_of(made)[pair] for pair in ((0, 0), (1, 0), (2, 0), (3, 0))] == [7, 2, 3, 2]
    assert "2 of 54 weights are 0 or less: their rows are left out, not subtracted" in made.notes
    assert any("2 duplicate (user, item) pairs" in note and "weights added up" in note for note in made.notes)
    counted = ready(frame, "clicks", REPEATS).interactions
    assert [weights_of(counted)[pair] for pair in ((0, 0), (1, 0), (3, 0))] == [3, 2, 1]
    columns = frame["quantity"].to_numpy(), (frame["user"].to_numpy(), frame["item"].to_numpy())
    entries = sparse.coo_array((columns[0].clip(1), columns[1]))
    assert weights_of(ready(entries, "clicks", REPEATS).interactions)[0, 0] == 3
    assert weights_of(ready(entries, "clicks", CONFIDENCE).interactions)[0, 0] == 2 + 5 + 1
    with pytest.raises(DataError, match=r"all 54 weights are 0 or less.*\n.*ranking\.weight=none"):
        ready(frame.with_columns(quantity=pl.lit(0)), "clicks", CONFIDENCE)


def test_weights_of_contexts_are_added_up():
    frame = pl.concat([played().with_columns(context=pl.lit(which)) for which in "ab"])
    data = read(frame, columns=ColumnNames(weight=True, context=True))
    assert len(data) == 2 * len(EXPECTED)
    assert weights_of(data.without_context()) == {pair: 2 * weight for pair, weight in EXPECTED.items()}


def test_parts_have_weights_all_or_none(tmp_path: Path):
    frame = played()
    frame.filter(pl.col("item") < 9).write_csv(tmp_path / "train.csv")
    frame.filter(pl.col("item") >= 9).write_csv(tmp_path / "test.csv")
    names = {"dataset": str(tmp_path / "train.csv"), "test": str(tmp_path / "test.csv")}
    assert weights_of(ready(None, "clicks", CONFIDENCE, **names).interactions) == EXPECTED
    frame.filter(pl.col("item") >= 9).drop("plays").write_csv(tmp_path / "test.csv")
    with pytest.raises(DataError, match=r"train\.csv has a weight column, .*test\.csv has none") as error:
        ready(None, "clicks", CONFIDENCE, **names)
    fix = fixes(str(error.value).replace(" (in Python", ";"))[0]
    assert ready(None, "clicks", CONFIDENCE, fix, **names).interactions.weight is None
    data, _ = read_parts(read(frame[:60], columns=WEIGHT), test=read(frame[60:], columns=WEIGHT))
    assert weights_of(data) == EXPECTED


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (played("heard"), "has no weights, and the settings say weight"),
        (played().with_columns(plays=pl.lit("many")), 'row 0  weight "many" is not a number'),
        (played().with_columns(plays=pl.lit(None)), "row 0  weight is missing"),
        (played().with_columns(plays=pl.lit(float("inf"))), 'row 0  weight "inf" is not a finite number'),
        (played().with_columns(plays=pl.lit("1,5")), 'row 0  weight "1,5" has a decimal comma. Write 1.5'),
    ],
)
def test_weights_that_cannot_be_used_are_refused_and_the_fix_works(frame: pl.DataFrame, said: str):
    with pytest.raises(DataError) as error:
        ready(frame, "clicks", CONFIDENCE)
    assert said in str(error.value)
    for fix in fixes(str(error.value)):
        ready(frame, "clicks", CONFIDENCE, fix.replace("NAME", "heard"))


def test_what_does_not_use_weights_says_so(tmp_path: Path):
    data = read(played(), columns=WEIGHT)
    note = '"weight" is not used as weight: to use it as confidence: --set ranking.weight=confidence'
    made = ready(data, "clicks")
    assert (made.interactions.weight, note in made.interactions.notes) == (None, True)
    assert weights_of(ready(data, "clicks", *fixes(note)).interactions) == EXPECTED
    assert ready(played(), "clicks", "columns.weight=plays").interactions.weight is None
    made = ready(replace(data, rating=data.weight), "ratings", "feedback=ratings").interactions
    assert (made.weight, '"weight" is not used as weight: all ratings count alike' in made.notes) == (None, True)
    ratings = write_ratings(tmp_path / "mine.csv")
    made = ready(ratings, "ratings-operations", "columns.weight=timestamp").interactions
    assert (made.weight, '"timestamp" is not used as weight: all ratings count alike' in made.notes) == (None, True)
    equal = ready(played().with_columns(plays=pl.lit(3)), "clicks", CONFIDENCE).interactions
    assert "all weights are 3: rankings are learnt as without" in equal.notes
    with pytest.raises(DataError, match=r"ColumnNames\(weight=True\) or \(repeats=True\)"):
        ready(read(played()), "clicks", REPEATS)


def test_the_fingerprint_has_weights_where_there_are_any():
    frame = played().filter(pl.col("plays") > 0)
    data, plain = read(frame, columns=WEIGHT), read(frame)
    assert replace(data, weight=None).fingerprint() == plain.fingerprint() != data.fingerprint()
    shuffled = read(frame.sample(fraction=1.0, shuffle=True, seed=1), columns=WEIGHT)
    assert shuffled.fingerprint() == data.fingerprint()
    assert replace(data, weight=data.weight + 1).fingerprint() != data.fingerprint()
    assert (data.describe()["weight"]["max"], "weight" in plain.describe()) == (4.0, False)
    for wrong in (0 * data.weight, data.weight * np.float32(np.nan)):
        with pytest.raises(DataError, match="not finite and above 0"):
            replace(data, weight=wrong)


def test_settings_of_weights_are_checked():
    for settings, said in (
        ({"weight": "likes"}, "weight = 'likes'; there are none, confidence, repeats"),
        ({"weight": "confidence", "weight_power": 0.0}, "weight_power = 0.0; give a number above 0"),
        ({"weight_power": 1.0}, "weight_power = 1.0 with weight = none"),
    ):
        with pytest.raises(DataError, match=said):
            RankingSettings(**settings)
    with pytest.raises(RecipeError, match=r"ranking\.weight = none has no use for it"):
        ready(played(), "clicks", "ranking.weight_power=1.0")


def drawn(weight: Any, users: int = 30, items: int = 20) -> Interactions:
    draw = np.random.default_rng(0)
    user, item = np.nonzero(draw.random((users, items)) < 0.4)
    names = Vocabulary(range(users)), Vocabulary(range(items))
    values = None if weight is None else weight(draw, len(user)).astype(np.float32)
    return Interactions(user, item, None, None, None, *names, name="drawn", weight=values)


def task_of(data: Interactions, loss: str, cut: Split | None = None, **settings: Any) -> RankingTask:
    more = {"negatives": 8} if loss == "sampled-softmax" else {}
    return RankingTask(data, cut or split(data), RankingSettings(loss=loss, **more, **settings))


def trained(task: RankingTask, epochs: int = 3, batch: int = 32, dim: int = 8) -> Any:
    plan = Training(epochs=epochs, batch_size=batch, optimiser=Optimiser("adam", 0.03), evaluate_every=0)
    return train(Inner(task.sizes, dim), task, plan).network


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_weights_are_no_weights(loss: str):
    data = drawn(lambda draw, n: np.full(n, 9.0))
    cut = split(replace(data, weight=None))
    with_weights = trained(task_of(data, loss, cut, weight="confidence"))
    without = trained(task_of(data, loss, cut))
    assert torch.equal(with_weights.user.weight, without.user.weight)
    assert torch.equal(with_weights.item.weight, without.item.weight)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("part", ["train", "valid"])
def test_each_positive_of_a_batch_has_the_confidence_of_its_pair(loss: str, part: Any):
    data = drawn(lambda draw, n: draw.integers(1, 50, n))
    task = task_of(data, loss, weight="confidence", weight_power=0.7)
    power = {pair: weight**0.7 for pair, weight in weights_of(data).items()}
    mean = np.mean([power[data.user[row], data.item[row]] for row in split(data).train])
    stream, met = task.stream(part, 16, 0), 0
    for step in range(len(stream)):
        batch = stream.batch(step)
        queries, target = batch.inputs, batch.target
        if isinstance(target, Marked):
            row, column = target.row[target.wanted], target.column[target.wanted]
            weight = target.weight[target.wanted]
            items = column if loss == "softmax" else queries.own[row, 0]
            users = queries.users[row]
        else:
            users, items, weight = queries.users, queries.own[:, 0], target[:, 0]
            if loss == "degree-bce":  # the weight of the pair beside: test_sif_ranking_task
                counts = task.counts()
                weight = weight / (1 + degree_shares(counts[users], counts[items + data.n_users]))
            else:
                assert set(target[:, 1:].unique().tolist()) <= {0.0, -1.0}
        expected = [power[pair] / mean for pair in zip(users.tolist(), items.tolist(), strict=True)]
        assert weight.tolist() == pytest.approx(expected, rel=1e-5)
        met += len(expected)
    assert met > 20


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_tell_the_true_preference(loss: str):
    """Users play few items of their own group often, and try many of the next group once; an own one is held out."""
    draw, rows = np.random.default_rng(1), list[tuple[int, int, float]]()
    held = list[tuple[int, int, float]]()
    for user in range(180):
        own, next_one = (draw.permutation(15) + 15 * ((user + shift) % 3) for shift in (0, 1))
        rows += [(user, item, 50.0) for item in own[:5]] + [(user, item, 1.0) for item in next_one[:9]]
        held.append((user, own[5], 50.0))
    user, item, weight = (np.array(column) for column in zip(*rows, *held, strict=True))
    names = Vocabulary(range(180)), Vocabulary(range(45))
    data = Interactions(user, item, None, None, None, *names, name="planted", weight=weight.astype(np.float32))
    places = np.arange(len(user))
    cut = Split(places[: len(rows)], places[len(rows) :], places[:0], "files", 0, None, "")

    def judged(**settings: Any) -> float:
        task = task_of(data, loss, cut, **settings)
        network = trained(task, 20, 32 if loss == "softmax" else 256, 4)
        return task.evaluate(lambda queries: network(queries).detach())["recall@10"]

    assert judged(weight="confidence", weight_power=1.0) > judged() + 0.25  # the standard error is below .04


def test_a_search_with_weights_from_every_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The command line and Python lead to one architecture; without weights to another."""
    monkeypatch.chdir(tmp_path)
    frame = played().filter(pl.col("plays") > 0)
    frame.write_csv("plays.csv")
    settings = SMALL | {"baselines.names": []}
    line = [*sets(settings), "--set", CONFIDENCE, "--device", "cpu", "--out", "typed", "--json"]
    done = CliRunner().invoke(app, ["search", "plays.csv", "--recipe", "clicks", *line])
    assert done.exit_code == 0, done.output
    typed = json.loads(Path("typed/result.json").read_text())
    asked = settings | {"ranking.weight": "confidence"}
    assert open_run("typed").best.method.note == "learnt with weights"
    of_frame = sif.search(frame, recipe="clicks", settings=asked, device="cpu").result
    assert of_frame["metrics"] == typed["metrics"]
    assert of_frame["fingerprint"] == typed["fingerprint"]
    plain = sif.search(frame, recipe="clicks", settings=settings, device="cpu").result
    assert plain["fingerprint"] != typed["fingerprint"]


def weighed_table() -> PairTable:
    """Forty users with half of ten items each, one pair weighing nine; the last item is held out."""
    users, items = np.arange(40)[:, None], np.arange(10)
    train = sparse.csr_array(((users * 7 + items * 3) % 11 < 6) & (items < 9))
    held = sparse.csr_array(np.broadcast_to(items == 9, (40, 10)))
    weight = np.ones(train.nnz, np.float32)
    weight[0] = 9.0
    seen, times = sparse.csr_array(train + held), np.arange(train.nnz, dtype=np.float64)
    return PairTable(train, held, held, train, seen, weight / weight.mean(), times=times)


@pytest.mark.parametrize("name", METHODS)
def test_rivals_that_can_use_weights_do_so_and_the_others_say_that_they_do_not(name: str):
    table, method = weighed_table(), METHODS[name]
    (other,), _ = entrants([name])
    told = other.told(table).method.note
    assert ("learns without the weights" in told) != method.weighted
    assert other.told(replace(table, confidence=None)).method.note == method.note
    if method.package and importlib.util.find_spec(method.package) is None:
        return
    if method.package == "recbole":  # it is not given the table
        return
    point = dict(method.grid[0]) | ({"epochs": 2} if "epochs" in method.grid[0] else {})
    tables = replace(table, confidence=None), table
    plain, weighed = (method.fit(each, point, 0).scores_of(torch.arange(40)) for each in tables)
    assert torch.equal(plain, weighed) != method.weighted


def test_a_table_keeps_its_weights(tmp_path: Path):
    table = weighed_table()
    table.save(tmp_path / "table.npz")
    again = PairTable.load(tmp_path / "table.npz")
    assert again.confidence is not None
    assert np.array_equal(again.confidence, table.confidence)
    assert again.fingerprint() == table.fingerprint() != replace(table, confidence=None).fingerprint()
    data = read(played(), columns=WEIGHT)
    cut = split(data, "random", (0.6, 0.2, 0.2), 0)
    weights = PairTable.of(RankingTask(data, cut, RankingSettings(weight="confidence", weight_power=1.0))).confidence
    assert weights is not None
    assert weights.mean() == pytest.approx(1.0)
    assert len(set(weights.tolist())) == 4
    assert PairTable.of(RankingTask(data, cut, RankingSettings())).confidence is None


def test_notes_on_the_data_are_told_by_all_that_learnt_from_them():
    matrix = sparse.coo_array((np.ones(120), (np.arange(120) % 10, np.arange(120) // 10)))
    matrix.data[:5] = 0.0
    changes = changes_of(SMALL | {"search.epochs": 1, "space.encodings": ["id"]})
    model = sif.Recommender(load_rating_recipe("clicks", changes), device="cpu").fit(sparse.csr_array(matrix))
    told = "feedback: clicks (all 1); who met what, ranked"
    assert model.notes[-2:] == (told, "5 stored zeros dropped: zero means no interaction in a sparse matrix")
    run = sif.search(matrix, recipe="clicks", settings=SMALL | {"baselines.names": []}, device="cpu")
    assert run.notes[:2] == model.notes[-2:]
    assert set(run.notes) == {told, *run.result["dataset"]["notes"], *run.result["split"]["notes"]}


def test_a_recommender_takes_the_values_of_a_matrix_as_weights_where_its_recipe_says_so():
    matrix = sparse.csr_array(source_of("matrix", Path()))
    made = {}
    for weight in ("none", "confidence"):
        changes = changes_of(SMALL | {"ranking.weight": weight, "search.epochs": 1, "space.encodings": ["id"]})
        model = sif.Recommender(load_rating_recipe("clicks", changes), device="cpu").fit(matrix)
        made[weight] = model.network.encoded("item")[0]
    assert made["none"].shape != made["confidence"].shape or not torch.equal(made["none"], made["confidence"])

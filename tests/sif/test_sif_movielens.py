"""MovieLens 100K through the whole pipeline, at a small budget."""

import json
from pathlib import Path

import pytest
from sif_samples import lines_of, sets
from typer.testing import CliRunner

import sif
from sif.cli import app

pytestmark = pytest.mark.realdata

SMALL = {
    "search.epochs": 1,
    "train.epochs": 4,
    "tune.l2": [],
    "tune.embedding_dim": [],
    "baselines.names": ["global-mean", "biases", "inner-product"],
    "baselines.enumerate": False,
    "baselines.random": False,
}


@pytest.fixture(scope="module")
def run(movielens: str, tmp_path_factory: pytest.TempPathFactory) -> sif.Run:
    out = tmp_path_factory.mktemp("movielens") / "run"
    result = CliRunner().invoke(
        app, ["search", "movielens-operations", *sets(SMALL), "--out", str(out), "--device", "cpu", "--json"]
    )
    assert result.exit_code == 0, result.output
    return sif.load(json.loads(result.stdout)["run"])


def test_the_find_beats_what_knows_less(run: sif.Run):
    """Bands: the standard deviation of the ratings is 1.126; four epochs are a third of the recipe's."""
    rows = {name: row["test"]["rmse"] for name, row in run.result["rows"].items()}
    assert rows["global-mean"] == pytest.approx(1.126, abs=0.01)
    assert rows["biases"] == pytest.approx(0.963, abs=0.01)
    assert run.result["metrics"]["test"]["rmse"] < rows["biases"] + 0.01
    assert run.result["fingerprint"] == "4039d0dbaf2051ca"
    assert run.result["test_reads"] == 4


def test_recommendations_have_titles_and_are_new(run: sif.Run):
    from sif.datasets import read

    data = read("movielens")
    rows = run.recommend(196, 10)
    assert len(rows) == 10
    assert all(row["title"] for row in rows)
    user = int(data.users.encode([196])[0])
    has = set(data.items.decode(data.item[data.user == user]))
    assert not has & {row["item"] for row in rows}
    assert all(1 < row["score"] < 6 for row in rows)


def test_the_run_can_be_read_again(run: sif.Run):
    assert sif.load(Path(run.path)).recommend(1, 3) == run.recommend(1, 3)
    records = lines_of(run.path / "trace.jsonl")
    assert sum(record["phase"].startswith("train") for record in records) <= 4

"""Ranking runs from a file of clicks to a served model, and ratings in the wide space."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sif_samples import sets
from typer.testing import CliRunner

import sif
from sif.api import rank_run, retrain, score
from sif.cli import app
from sif.errors import DataError, RecipeError
from sif.problems import check_recipe
from sif.problems.recipes import load_rating_recipe
from sif.recipes import changes_of

SMALL: dict[str, Any] = {
    "space.embedding_dim": 4,
    "space.mlp": [4],
    "search.epochs": 2,
    "search.batch_size": 16,
    "train.epochs": 3,
    "train.batch_size": 16,
    "train.evaluate_every": 1,
    "strategy.settings.finalists": 2,
    "strategy.settings.n_supernet_evals": 10,
    "strategy.settings.trainings": 3,
    "strategy.settings.keep": 1,
    "tune.l2": [],
    "space.hidden": 2,
    "baselines.names": ["popularity", "mf"],
    "baselines.random": False,
}


def clicks(path: Path, seed: int = 0) -> Path:
    """Two groups of users, each with a half of the items it prefers."""
    generator = np.random.default_rng(seed)
    lines = ["user_id,item_id"]
    for user in range(30):
        liked = generator.permutation(12)[:7] + 12 * (user % 2)
        stray = generator.permutation(24)[:1]
        lines += [f"u{user:02d},i{item:02d}" for item in {*liked.tolist(), *stray.tolist()}]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> sif.Run:
    folder = tmp_path_factory.mktemp("ranking")
    return sif.search(clicks(folder / "clicks.csv"), recipe="clicks", settings=SMALL, out=folder / "run", device="cpu")


def test_a_ranking_run_has_rankings_in_its_result(run: sif.Run):
    result = run.result
    assert (result["task"], result["metric"], result["maximise"], result["scale"]) == ("ranking", "ndcg@10", True, None)
    assert set(result["rows"]) == {"found", "popularity", "mf"}
    for part in ("valid", "test"):
        outcome = [result["metrics"][part], *(row[part] for row in result["rows"].values())]
        assert all({"ndcg@10", "recall@10", "mrr@10", "coverage@10"} <= set(metrics) for metrics in outcome)
        assert all(0 <= value <= 1 for metrics in outcome for value in metrics.values())
    assert result["test_reads"] == len(result["rows"])
    assert not run.additive


def test_the_find_learns_what_popularity_cannot(tmp_path: Path):
    settings = {"space.embedding_dim": 8, "baselines.names": ["popularity"], "baselines.random": False, "tune.l2": []}
    found = sif.search(clicks(tmp_path / "clicks.csv"), recipe="clicks", settings=settings, device="cpu").result
    assert found["metrics"]["test"]["ndcg@10"] > found["rows"]["popularity"]["test"]["ndcg@10"] + 0.1


def test_a_ranking_run_recommends_what_the_user_does_not_have(run: sif.Run):
    had = {line.split(",")[1] for line in (run.path.parent / "clicks.csv").read_text().splitlines() if "u03" in line}
    result = run.recommend("u03", k=5)
    assert len(result) == 5
    assert not had & {entry["item"] for entry in result}
    scores = [entry["score"] for entry in result]
    assert scores == sorted(scores, reverse=True)


def test_the_served_scores_are_the_networks(run: sif.Run):
    ranked = rank_run(run.path, device="cpu")["parts"]["test"]["model"]["ndcg@10"]
    assert ranked == pytest.approx(run.result["metrics"]["test"]["ndcg@10"], abs=1e-9)
    assert score(run.path, device="cpu")["test"] == pytest.approx(run.result["metrics"]["test"], abs=1e-9)


def test_a_ranking_run_trains_again_on_everything(run: sif.Run, tmp_path: Path):
    copy = run.save(tmp_path / "copy")
    done = retrain(copy, all_data=True, device="cpu")
    assert done["valid"] is None
    again = sif.load(copy)
    assert again.result["metrics"] == {"valid": None, "test": None}
    assert len(again.recommend("u03", k=3)) == 3


def test_the_same_ranking_recipe_gives_the_same_run(run: sif.Run, tmp_path: Path):
    again = sif.search(clicks(tmp_path / "c.csv"), recipe="clicks", settings=SMALL, device="cpu")
    assert again.genotype == run.genotype
    assert again.result["metrics"] == run.result["metrics"]
    assert (again.path / "model.safetensors").read_bytes() == (run.path / "model.safetensors").read_bytes()


def test_a_ranking_run_on_the_command_line(tmp_path: Path):
    data, out = clicks(tmp_path / "clicks.csv"), tmp_path / "run"
    runner = CliRunner()
    found = runner.invoke(app, ["search", str(data), "--recipe", "clicks", "--out", str(out), *sets(SMALL)])
    assert found.exit_code == 0, found.output
    assert "valid ndcg@10" in found.output
    assert "interactions" in found.output
    assert score(out)["test"] == pytest.approx(sif.load(out).result["metrics"]["test"], abs=1e-9)
    judged = runner.invoke(app, ["evaluate", str(out)])
    assert "ndcg@10" in judged.output
    assert "hit_rate@10" in judged.output
    trained = runner.invoke(app, ["train", str(out), "--epochs", "2"])
    assert "validation ndcg@10" in trained.output


def test_a_space_of_additive_points_is_refused_with_the_reason():
    additive = {"space.operations": ["plus", "concat"], "space.predictors": ["sum", "linear"]}
    with pytest.raises(RecipeError, match=r"every point is additive in user and item"):
        check_recipe(load_rating_recipe("clicks", changes_of(additive, None, None)))


def test_an_unknown_baseline_is_named_with_the_nearest():
    with pytest.raises(RecipeError, match=r"unknown rival 'popularty'; did you mean 'popularity'\?"):
        check_recipe(load_rating_recipe("clicks", ['baselines.names=["popularty"]']))


def test_ratings_in_the_wide_space(ratings: str):
    settings = {
        **{key: value for key, value in SMALL.items() if key not in ("tune.embedding_dim", "baselines.names")},
        "tune.l2": [],
        "baselines.names": ["biased-mf", "svd++"],
    }
    found = sif.search(ratings, recipe="movielens-wide", settings=settings, device="cpu")
    assert found.result["task"] == "rating"
    assert set(found.result["rows"]) == {"found", "biased-mf", "svd++"}
    assert len(found.genotype.choices["operation"]) == 2
    assert len(found.recommend("u03", k=3)) == 3


def test_cold_items_are_told_and_can_be_left_out(tmp_path: Path):
    lines = clicks(tmp_path / "clicks.csv").read_text().splitlines()
    (tmp_path / "valid.csv").write_text("user_id,item_id\nu01,new\nu02,i01\n")
    (tmp_path / "test.csv").write_text("user_id,item_id\nu05,i20\nu04,i05\n")
    kept = [line for line in lines if line not in ("u02,i01", "u05,i20", "u04,i05")]
    (tmp_path / "train.csv").write_text("\n".join(kept) + "\n")
    settings = SMALL | {"valid": str(tmp_path / "valid.csv"), "test": str(tmp_path / "test.csv")}
    found = sif.search(tmp_path / "train.csv", recipe="clicks", settings=settings, device="cpu")
    result = {entry["item"]: entry["cold"] for entry in found.recommend("u07", k=30)}
    assert result.pop("new") is True
    assert not any(result.values())
    assert "new" not in {entry["item"] for entry in found.recommend("u07", k=30, cold_items=False)}


def test_a_tuned_learning_rate_is_kept_for_every_later_training(tmp_path: Path):
    settings = SMALL | {"tune.learning_rate": [0.05], "train.optimiser.learning_rate": 1e-6}
    found = sif.search(clicks(tmp_path / "c.csv"), recipe="clicks", settings=settings, out=tmp_path / "r", device="cpu")
    assert found.result["tuned"]["learning_rate"] == 0.05
    before = found.result["metrics"]["valid"]
    assert retrain(tmp_path / "r", device="cpu")["valid"] == pytest.approx(before)


def test_a_threshold_needs_ratings(run: sif.Run):
    with pytest.raises(DataError, match=r"threshold = 4, but .* has no ratings; leave it out"):
        rank_run(run.path, threshold=4.0)


def test_ranking_a_run_again_judges_as_the_run_did(tmp_path: Path, ratings: str):
    settings = SMALL | {"ranking.threshold": 3.0, "ranking.k": 4}
    found = sif.search(ratings, recipe="clicks", settings=settings, out=tmp_path / "r", device="cpu")
    result = rank_run(tmp_path / "r")
    assert (result["task"], result["k"], result["threshold"]) == ("ranking", [4], 3.0)
    assert result["parts"]["test"]["model"]["ndcg@4"] == pytest.approx(found.result["metrics"]["test"]["ndcg@4"])

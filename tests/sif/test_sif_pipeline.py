"""A run end to end: the contract of result.json, what reads the test part, and what the figures mean."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sif_samples import TINY, lines_of, write_ratings

import sif
from sif.datasets import Interactions, split
from sif.errors import DataError, RunError
from sif.recipes import load_recipe
from sif.results import SCHEMA_VERSION, Result
from sif.tasks import RatingTask

ALL = TINY | {
    "baselines.names": ["global-mean", "biases", "max"],
    "baselines.enumerate": True,
    "baselines.random": True,
    "space.operations": ["plus", "max"],
}


def files_of(run: sif.Run) -> dict[str, bytes]:
    return {name: (run.path / name).read_bytes() for name in ("trace.jsonl", "genotype.json", "model.safetensors")}


def test_result_is_the_contract(finished: sif.Run):
    result = json.loads((finished.path / "result.json").read_text())
    Result.model_validate(result)
    assert result["schema_version"] == SCHEMA_VERSION == 2
    promised = """schema_version task dataset strategy recipe seed genotype formula metrics rows regret seconds
        peak_memory_mb parameters fingerprint versions hardware"""
    assert set(promised.split()) <= set(result)
    for part in (result["metrics"], *result["rows"].values()):
        for name in ("valid", "test"):
            assert set(part[name]) == {"rmse", "mae", "rmse_standardised"}
    assert {"search", "train", "evaluate", "total"} <= set(result["seconds"])
    assert {"python", "torch", "numpy"} <= set(result["versions"])
    assert result["dataset"]["interactions"] == 300
    assert result["genotype"] == json.loads((finished.path / "genotype.json").read_text())
    with pytest.raises(ValidationError):
        Result.model_validate(result | {"more": 1})


def test_result_is_strict_json(finished: sif.Run):
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    json.loads((finished.path / "result.json").read_text(), parse_constant=refuse)


def test_test_data_is_read_once_for_each_row(finished: sif.Run):
    assert finished.result["test_reads"] == len(finished.result["rows"]) == 5


def test_no_test_part_no_test_reads(planted: Interactions):
    run = sif.search(
        planted, recipe="ratings-operations", settings=ALL | {"split.fractions": [0.7, 0.3, 0.0]}, device="cpu"
    )
    assert run.result["test_reads"] == 0
    assert run.result["metrics"]["test"] is None
    assert all(row["test"] is None for row in run.result["rows"].values())
    assert "-" in (run.path / "report.html").read_text()


def test_test_ratings_change_nothing_but_test_metrics(planted: Interactions, monkeypatch: pytest.MonkeyPatch):
    """Not the scale, the trace, the best architecture, its weights, nor any choice: only what is read at the end."""
    rows = split(planted, "random", (0.8, 0.1, 0.1), 0)
    rating = planted.rating.copy()
    rating[rows.test] = 5.5 - rating[rows.test] + 40.0
    monkeypatch.setattr("sif.problems.data.split", lambda *_: rows)
    one = sif.search(planted, recipe="ratings-operations", settings=ALL, device="cpu")
    two = sif.search(replace(planted, rating=rating), recipe="ratings-operations", settings=ALL, device="cpu")
    assert files_of(one) == files_of(two)
    assert one.result["scale"] == two.result["scale"]
    assert one.result["metrics"]["valid"] == two.result["metrics"]["valid"]
    assert one.result["metrics"]["test"]["rmse"] < two.result["metrics"]["test"]["rmse"]
    for name, row in one.result["rows"].items():
        assert row["valid"] == two.result["rows"][name]["valid"]
    assert one.result["enumeration"] == two.result["enumeration"]


def test_validation_ratings_do_not_move_the_scale(planted: Interactions):
    rows = split(planted)
    rating = planted.rating.copy()
    rating[rows.valid] += 7
    scale = RatingTask(replace(planted, rating=rating), rows).scale
    train = planted.rating[rows.train].astype(np.float64)
    assert scale == RatingTask(planted, rows).scale
    assert (scale.mean, scale.std) == pytest.approx((train.mean(), train.std()))


def test_regret_is_the_distance_to_the_best_point(finished: sif.Run):
    scores, (operation,) = finished.result["enumeration"], finished.genotype.choices["operation"]
    assert set(scores) == {f"operation={name}" for name in ("plus", "multiply", "max")}
    assert finished.result["regret"] == pytest.approx(scores[f"operation={operation}"] - min(scores.values()))
    assert finished.result["regret"] >= 0


def test_the_find_is_chosen_by_validation_on_the_grid(finished: sif.Run):
    """The recipe's own l2 is in the grid, so that tuning never makes the best architecture worse on validation."""
    (operation,) = finished.genotype.choices["operation"]
    own = finished.result["enumeration"][f"operation={operation}"]
    assert finished.result["metrics"]["valid"]["rmse_standardised"] <= own
    assert finished.genotype.settings["l2"] in (0.03, 0.1)


def test_rows_say_what_they_were_tuned_to(finished: sif.Run):
    rows = finished.result["rows"]
    assert rows["inner-product"]["settings"]["l2"] in (0.03, 0.1)
    assert rows["biases"]["settings"] == rows["global-mean"]["settings"] == {}
    assert rows["global-mean"]["parameters"] == 0
    assert rows["biases"]["parameters"] == 24 + 18 + 1
    assert rows["random-search"]["settings"]["genotype"].startswith("operation=")


def test_a_planted_maximum_beats_the_mean(finished: sif.Run):
    rows = finished.result["rows"]
    assert finished.result["metrics"]["test"]["rmse"] < rows["global-mean"]["test"]["rmse"]


def test_a_run_without_baselines(planted: Interactions):
    run = sif.search(planted, recipe="ratings-operations", settings=TINY, device="cpu")
    assert (list(run.result["rows"]), run.result["enumeration"], run.result["regret"]) == (["found"], None, None)
    assert "not measured" in (run.path / "report.html").read_text()


@pytest.mark.parametrize("strategy", ["nasp", "nasp-ranked", "darts", "darts-2nd", "random", "enumerate"])
@pytest.mark.parametrize("hidden", [0, 4])
def test_every_strategy_makes_a_run(strategy: str, hidden: int, planted: Interactions):
    run = sif.search(
        planted, strategy, recipe="ratings-operations", settings=ALL | {"space.hidden": hidden}, device="cpu"
    )
    assert run.result["strategy"]["name"] == strategy
    assert run.result["regret"] is not None
    assert bool(run.genotype.parameters) == bool(hidden)
    assert len(run.recommend("u03", 5)) == 5


def test_three_modes(planted: Interactions, tmp_path: Path):
    path = write_ratings(tmp_path / "mine.csv")
    settings = TINY | {
        "space.operations": ["plus_plus", "max_max", "0_multiply_plus"],
        "space.name": "tensor-interaction",
        "context": "month",
        "baselines.names": ["cp", "tucker", "biased-cp"],
        "baselines.enumerate": True,
    }
    run = sif.search(path, recipe="ratings-operations", settings=settings, device="cpu")
    months = json.loads((run.path / "ids.json").read_text())["contexts"]
    assert months[:2] == ["2000-12", "2001-01"]
    last, first = run.recommend("u03", 30), run.recommend("u03", 30, context=months[0])
    assert last == run.recommend("u03", 30, context=months[-1])
    assert {row["item"] for row in last} == {row["item"] for row in first}
    with pytest.raises(DataError, match='context "2001-13" is unknown'):
        run.recommend("u03", 3, context="2001-13")
    with pytest.raises(RunError, match="has a context mode"):
        run.recommender()
    assert "r(c)" not in run.formula
    assert "b_context" in run.formula


def test_month_needs_timestamps(planted: Interactions):
    settings = {"space.name": "tensor-interaction", "space.operations": ["plus_plus"], "context": "month"}
    with pytest.raises(DataError, match="has no timestamps"):
        sif.search(replace(planted, timestamp=None), recipe="ratings-operations", settings=TINY | settings)
    with pytest.raises(DataError, match=r"name it with --set columns\.context=NAME"):
        sif.search(planted, recipe="ratings-operations", settings=TINY | settings | {"context": "column"})


def test_data_in_memory(planted: Interactions):
    """Frames and matrices are data too; the run works, and says why it cannot be trained again."""
    import polars as pl

    from sif.api import retrain
    from sif.datasets import to_frame

    frame = to_frame(planted)
    runs = [
        sif.search(data, recipe="ratings-operations", settings=TINY, device="cpu")
        for data in (frame, frame.to_pandas(), planted)
    ]
    assert isinstance(frame, pl.DataFrame)
    assert len({run.result["fingerprint"] for run in runs}) == 1
    assert files_of(runs[0]) == files_of(runs[1]) == files_of(runs[2])
    with pytest.raises(RunError, match="was made from data in memory, which it does not keep"):
        retrain(runs[0].path)


def test_a_run_lives_as_long_as_its_object(planted: Interactions):
    run = sif.search(planted, recipe="ratings-operations", settings=TINY, device="cpu")
    path = run.path
    assert path.is_dir()
    del run
    assert not path.exists()


def test_save_and_load(finished: sif.Run, tmp_path: Path):
    path = finished.save(tmp_path / "kept")
    loaded = sif.load(path)
    assert loaded.recommend("u03", 5) == finished.recommend("u03", 5)
    assert (loaded.formula, loaded.best_epoch) == (finished.formula, finished.best_epoch)
    with pytest.raises(RunError, match="exists; give a path that does not"):
        finished.save(path)


def test_asking_for_no_item(finished: sif.Run):
    with pytest.raises(DataError, match="k = 0; ask for 1 item or more"):
        finished.recommend("u03", 0)


def test_bad_arguments_of_search_leave_nothing(planted: Interactions, tmp_path: Path):
    with pytest.raises(DataError, match="give settings with a recipe by name or file"):
        sif.search(planted, "darts", recipe=load_recipe("ratings-operations"), out=tmp_path / "run")
    with pytest.raises(sif.SifError, match=r"search\.epochs"):
        sif.search(planted, settings={"search.epochs": 0}, out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("operation", "hidden", "additive"),
    [
        ("plus", 0, True),
        ("minus", 0, True),
        ("concat", 0, True),
        ("plus", 4, True),
        ("max", 0, False),
        ("multiply", 4, False),
    ],
)
def test_additive_functions_are_named(operation: str, hidden: int, additive: bool, planted: Interactions):
    """They rank the items alike for every user, and the person should know."""
    run = sif.search(
        planted,
        recipe="ratings-operations",
        settings=TINY | {"space.operations": [operation], "space.hidden": hidden},
        device="cpu",
    )
    assert run.additive is additive
    assert run.recommender().folded.additive is additive
    scores = run.recommender().folded.scores(torch.arange(24))
    orders = {tuple(row.tolist()) for row in scores.argsort(dim=1, stable=True)}
    assert (len(orders) == 1) is additive


def test_changed_data_and_an_edited_recipe_are_refused_on_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from sif.api import execute
    from sif.problems import open_recipe
    from sif.run_directory import RunDirectory

    path = write_ratings(tmp_path / "mine.csv")
    changes = [f"{key}={json.dumps(value)}" for key, value in (TINY | {"dataset": str(path)}).items()]
    recipe = load_recipe("ratings-operations", changes)
    directory = RunDirectory.create(tmp_path / "run", "run")
    with monkeypatch.context() as patch:
        patch.setattr(
            "sif.problems.tables.TableInstance.save_model", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            execute(open_recipe(recipe, device="cpu"), directory)
    write_ratings(path, seed=1)
    with pytest.raises(
        RunError, match=r"checkpoint holds another search: split is .*, was .*; bring back what it was, or search again"
    ):
        execute(open_recipe(recipe, device="cpu"), directory)
    write_ratings(path)
    edited = load_recipe("ratings-operations", [*changes, "train.epochs=7", "seed=1"])
    with pytest.raises(RunError) as caught:
        execute(open_recipe(edited, device="cpu"), directory)
    assert "recipe.train.epochs is 7, was 3" in str(caught.value)
    assert "recipe.seed is 1, was 0" in str(caught.value)
    execute(open_recipe(recipe, device="cpu"), directory)
    assert directory.finished
    assert not (directory.path / "checkpoint").exists()


def test_retraining_and_scoring_check_the_data(tmp_path: Path):
    from sif.api import retrain, score

    path = write_ratings(tmp_path / "mine.csv")
    run = sif.search(path, recipe="ratings-operations", settings=TINY, device="cpu", out=tmp_path / "run")
    scored = score(run.path)
    assert {part: scored[part] for part in ("valid", "test")} == run.result["metrics"]
    write_ratings(path, seed=1)
    for again in (retrain, score):
        with pytest.raises(RunError, match=r"is not what run .* was made with"):
            again(run.path)


def test_two_searches_in_one_process_do_not_disturb_each_other(planted: Interactions):
    """No global state: neither random numbers drawn outside nor another search change a run."""
    one = sif.search(planted, recipe="ratings-operations", settings=TINY, device="cpu")
    torch.manual_seed(99)
    before = torch.get_rng_state().clone()
    sif.search(planted, recipe="ratings-operations", settings=TINY | {"seed": 8}, device="cpu")
    assert torch.equal(torch.get_rng_state(), before)
    two = sif.search(planted, recipe="ratings-operations", settings=TINY, device="cpu")
    assert files_of(one) == files_of(two)
    assert len(lines_of(one.path / "trace.jsonl")) > 3


def settings_of(run: sif.Run) -> dict[str, Any]:
    return dict(run.genotype.settings)


def test_the_genotype_carries_the_tuned_settings(planted: Interactions):
    run = sif.search(
        planted,
        recipe="ratings-operations",
        settings=TINY | {"tune.embedding_dim": [8], "tune.l2": [0.0]},
        device="cpu",
    )
    settings = settings_of(run)
    assert settings["embedding_dim"] in (4, 8)
    dim = settings["embedding_dim"]
    width = 2 if run.genotype.choices["operation"] == ("concat",) else 1
    assert run.result["parameters"] == (24 + 18) * (dim + 1) + 1 + width * dim

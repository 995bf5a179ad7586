"""Two questions, one run: what predicts ratings and what orders lists, searched on the same rows and parts."""

import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sif_samples import TINY, planted_rows, sets, text_of, write_ratings
from test_sif_handed import run_of
from test_sif_ranking_run import clicks
from typer.testing import CliRunner

import sif
from sif.api import rank_run, retrain
from sif.checkpoint import load_tree
from sif.cli import app
from sif.compare import METHODS, PairTable, compare_run, run_method
from sif.compare.source import best_of
from sif.datasets import Interactions
from sif.errors import DataError, RecipeError, RunError
from sif.problems import open_recipe, problem
from sif.problems.goals import asks_both, ranking_of
from sif.problems.recipes import load_rating_recipe
from sif.problems.suited import open_suited
from sif.recipes import changes_of, load_recipe
from sif.recipes.limit import Limit
from sif.report.html import report
from sif.runs.after import reopened
from sif.serve.export import Export, load_export
from sif.serve.model import opened_model
from sif.studies.study import Study

BOTH: dict[str, Any] = TINY | {"study.budget": "8trials"}
WIDE = "movielens-wide"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> sif.Run:
    folder = tmp_path_factory.mktemp("goals")
    csv = write_ratings(folder / "mine.csv")
    found: sif.Run = sif.search(csv, recipe=WIDE, settings=BOTH, out=folder / "run", device="cpu")
    return found


def ranking(run: sif.Run) -> sif.Run:
    assert run.ranking is not None
    return run.ranking


def opened(data: Path, **settings: Any) -> Any:
    recipe = load_recipe(WIDE, changes_of(BOTH | settings))
    return open_recipe(recipe.model_copy(update={"dataset": str(data)}), device="cpu")


def done(*words: Any) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def same_parts(one: Any, other: Any) -> bool:
    parts = ("train", "valid", "test")
    return all(np.array_equal(getattr(one.data.split, part), getattr(other.data.split, part)) for part in parts)


def test_the_ranking_is_a_whole_run_on_the_same_rows_and_parts(both: sif.Run):
    inner = ranking(both)
    assert {path.name for path in inner.path.iterdir()} == {path.name for path in both.path.iterdir()} - {"ranking"}
    assert (inner.result["task"], inner.result["metric"]) == ("ranking", "ndcg@10")
    assert inner.result["fingerprint"] == both.result["fingerprint"]
    assert inner.result["split"] == both.result["split"]
    first, second = reopened(both.directory), reopened(inner.directory)
    assert same_parts(first, second)
    task: Any = second.final_task
    assert sum(task.positives(part).nnz for part in ("train", "valid", "test")) == 300
    assert sif.api.score(inner.path)["valid"] == pytest.approx(inner.result["metrics"]["valid"])


@pytest.mark.parametrize("shift", [-0.5, -3.0], ids=["zero is the lowest", "below zero"])
def test_every_rating_is_a_positive_however_low(shift: float, tmp_path: Path):
    rows = [(user, item, rating + shift, time) for user, item, rating, time in planted_rows()]
    path = tmp_path / "low.csv"
    path.write_text(text_of(rows))
    first = opened(path)
    second = ranking_of(first)
    task: Any = second.final_task
    assert sum(task.positives(part).nnz for part in ("train", "valid", "test")) == 300
    again = open_recipe(second.recipe, device="cpu")
    assert again.fingerprint == first.fingerprint
    assert same_parts(again, first)


@pytest.mark.parametrize("kind", ["user", "leave-last-out", "temporal", "files"])
def test_every_split_is_the_same_when_the_ranking_is_opened_alone(kind: str, tmp_path: Path):
    rows, settings = planted_rows(), {} if kind == "files" else {"split.kind": kind, "split.seed": 3}
    for number, name in enumerate(("mine", "valid", "test")):
        (tmp_path / f"{name}.csv").write_text(text_of(rows if kind != "files" else rows[number::3]))
    files = {name: str(tmp_path / f"{name}.csv") for name in ("valid", "test")} if kind == "files" else {}
    first = opened(tmp_path / "mine.csv", **settings, **files)
    again = open_recipe(ranking_of(first).recipe, device="cpu")
    assert again.fingerprint == first.fingerprint
    assert same_parts(again, first)


def test_the_budget_is_shared(both: sif.Run, tmp_path: Path):
    trials = [len((run.path / "trials.jsonl").read_text().splitlines()) for run in (both, ranking(both))]
    assert both.result["study"]["asked"] == "8trials"
    assert [run.result["study"]["budget"] for run in (both, ranking(both))] == ["4trials", "4trials"]
    assert sum(trials) <= 8  # those of rivals among them
    told = sif.search(write_ratings(tmp_path / "m.csv"), recipe=WIDE, settings=TINY, budget="2s", device="cpu")
    inner = Limit.parse(ranking(told).result["study"]["asked"], 1).seconds or 0.0
    assert told.result["study"]["budget"] == "1s"
    assert inner + told.result["study"]["seconds"] <= 2.0 or inner == 1.0


def test_the_result_has_both(both: sif.Run):
    inner, told = ranking(both).result, both.result["ranking"]
    assert (told["metric"], told["row"]) == ("ndcg@10", inner["handed"]["name"] if inner["handed"] else "found")
    assert told["formula"] == ranking(both).formula
    assert (told["valid"], told["test"]) == (inner["metrics"]["valid"], inner["metrics"]["test"])
    assert told["popularity"]["test"] == inner["rows"]["popularity"]["test"]
    assert both.result["metric"] == "rmse_standardised"


def test_the_sheet_shows_ratings_first_and_lists_beside_popularity(both: sif.Run):
    told = both.result["ranking"]
    losing = told | {"valid": {"ndcg@10": 0.1}, "popularity": {"valid": {"ndcg@10": 0.2}, "test": None}, "row": "ease"}
    own = problem("rating")
    sheet = own.sheet(both.result | {"ranking": losing})
    assert [line.cells[:2] for line in sheet.also[0].rows] == [("popularity", "0.2000"), ("ease", "0.1000")]
    assert [line.best for line in sheet.also[0].rows] == [False, True]
    assert sheet.warning.endswith("lists: popularity does better than ease, by 0.1000 on validation")
    popular = own.sheet(both.result | {"ranking": told | told["popularity"] | {"row": "popularity"}})
    assert popular.warning.endswith("lists: popularity does best on validation, and is handed over")
    assert len(popular.also[0].rows) == 1
    text = done("show", both.path)
    assert text.index("RMSE") < text.index("lists: score") < text.index("ndcg@10")
    assert "lists: score = " in report(own, both.result, [])
    assert json.loads(done("show", both.path / "ranking", "--json"))["task"] == "ranking"


def test_lists_are_in_the_order_of_the_ranking_with_the_rating_beside(both: sif.Run):
    user, inner = "u03", ranking(both)
    items = both.recommend(user, 5)
    assert [{key: value for key, value in item.items() if key != "rating"} for item in items] == inner.recommend(
        user, 5
    )
    first = opened_model(load_tree(both.path / "model.safetensors"))
    ids = json.loads((both.path / "ids.json").read_text())
    scores = first.form.scores(torch.tensor([ids["users"].index(user)]))[0]
    scale = both.result["scale"]
    wanted = [float(scores[ids["items"].index(item["item"])]) * scale["std"] + scale["mean"] for item in items]
    assert [item["rating"] for item in items] == pytest.approx(wanted, abs=1e-5)
    whole = both.recommend_all(5)
    own = whole.filter(whole["user"] == user)
    assert own["item"].to_list() == [item["item"] for item in items]
    assert own["rating"].to_list() == pytest.approx(wanted, abs=1e-5)
    assert whole.columns == ["user", "rank", "item", "score", "rating", "cold"]
    told = json.loads(done("recommend", both.path, "--user", user, "--json"))["items"]
    assert [item["rating"] for item in told[:5]] == pytest.approx(wanted, abs=1e-5)
    assert "rating" in done("recommend", both.path, "--user", user)


def test_a_recommender_of_two_models(both: sif.Run, planted: Interactions, tmp_path: Path):
    model, rows = both.recommender(), planted.user_items().tocsr()
    ids, _ = model.recommend(np.arange(24), rows, N=6)
    assert ids.tolist() == ranking(both).recommender().recommend(np.arange(24), rows, N=6)[0].tolist()
    ratings = model.predict(np.arange(24), ids)
    assert np.isnan(ratings[ids < 0]).all()
    assert ratings[3][: len(both.recommend("u03", 6))] == pytest.approx(
        [item["rating"] for item in both.recommend("u03", 6)], abs=1e-5
    )
    assert model.predict(3, ids[3])[:2] == pytest.approx(ratings[3][:2], abs=1e-5)
    new, _ = model.recommend(0, rows[3], N=4, recalculate_user=True)
    assert np.isfinite(model.predict(0, new, rows[3], True)).all()
    halved = rows[3].copy()
    halved.data = halved.data / 2  # the same items, liked half as much: the list stays, the ratings go down
    assert model.recommend(0, halved, N=4, recalculate_user=True)[0].tolist() == new.tolist()
    assert (model.predict(0, new, halved, True) < model.predict(0, new, rows[3], True)).all()
    model.save(tmp_path / "m.safetensors")
    for again in (sif.Recommender.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(again.predict(np.arange(24), ids), ratings, equal_nan=True)
        assert again.recommend(np.arange(24), rows, N=6)[0].tolist() == ids.tolist()
    with pytest.raises(DataError, match=r"items has shape \(3, 2\); give ids \[n\] of one user, or \[2, n\]"):
        model.predict([0, 1], np.zeros((3, 2), int))
    with pytest.raises(DataError, match="unknown item 99"):
        model.predict(0, [99])
    with pytest.raises(RunError, match="orders items, and predicts no ratings"):
        ranking(both).recommender().predict(0, [1])


def test_neighbours_are_of_the_model_that_has_vectors(both: sif.Run, tmp_path: Path):
    ease = run_of(tmp_path, "ease")
    files = [run.path / "model.safetensors" for run in (ease, both)]
    alone, beside = sif.Recommender.load(files[0]), sif.Recommender.load(files[0], ratings=files[1])
    with pytest.raises(DataError, match="no vectors"):
        alone.similar_items(3)
    assert beside.similar_items(3)[0].tolist() == sif.Recommender.load(files[1]).similar_items(3)[0].tolist()


def test_fit_with_a_budget_trains_both_on_everything(planted: Interactions):
    rows = planted.user_items().tocsr()
    model = sif.Recommender(load_rating_recipe(WIDE, sets(TINY)[1::2]), device="cpu", budget="6trials").fit(rows)
    assert (model.model.objective.units, model.recommend(3, rows[3], N=3)[0].shape) == (None, (3,))
    assert not model.cold.any()
    assert 0.0 < model.predict(3, [1, 2])[0] < 6.0


def test_fit_keeps_a_rival_that_won(tmp_path: Path):
    weak = {"train.epochs": 1, "train.optimiser.learning_rate": 1e-6, "baselines.random": False, "tune.l2": []}
    recipe = load_rating_recipe("clicks", sets(weak | {"space.embedding_dim": 4, "search.epochs": 2})[1::2])
    data = sif.datasets.read(clicks(tmp_path / "m.csv"))
    model = sif.Recommender(recipe, device="cpu", budget="6trials").fit(data.user_items().tocsr())
    assert model.model.rival is not None
    assert model.genotype is None
    assert model.recommend(3, data.user_items().tocsr()[3], N=3)[0].shape == (3,)


def test_one_goal_alone(both: sif.Run, tmp_path: Path):
    csv = write_ratings(tmp_path / "mine.csv")
    rated = sif.search(csv, recipe=WIDE, settings=TINY, budget="3trials", goal="rating", device="cpu")
    assert (rated.result["task"], rated.result["ranking"], rated.ranking) == ("rating", None, None)
    assert "rating" not in rated.recommend("u03", 1)[0]
    listed = sif.search(csv, recipe=WIDE, budget="3trials", goal="ranking", out=tmp_path / "lists", device="cpu")
    assert (listed.result["task"], listed.ranking) == ("ranking", None)
    assert listed.result["study"]["asked"] == "3trials"
    assert listed.result["split"]["kind"] == "random"
    assert listed.result["fingerprint"] == both.result["fingerprint"]


def test_a_goal_that_cannot_be_is_refused_in_words(tmp_path: Path):
    csv = write_ratings(tmp_path / "mine.csv")
    change = r"by the recipe clicks, and .*train.epochs.* would change nothing in it; give --recipe clicks"
    with pytest.raises(RecipeError, match=change):
        sif.search(csv, recipe=WIDE, settings=BOTH, goal="ranking")
    open_recipe(load_recipe("clicks", changes_of({"train.epochs": 3, "dataset": str(csv)})))  # what it says to do
    with pytest.raises(RecipeError, match=r"orders lists, and predicts no ratings; leave the goal out"):
        sif.search(csv, recipe="clicks", budget="3trials", goal="rating")
    with pytest.raises(RecipeError, match=r"lists are of users and items alone, and context = .month"):
        load_and_check("movielens-tensor", "study.goal=ranking")
    with pytest.raises(RecipeError, match=r"'both', 'rating' or 'ranking'"):
        load_recipe(WIDE, ["study.goal=lists"])
    assert not asks_both(load_recipe("movielens-tensor", ["study.budget=2m"]))
    assert not asks_both(load_recipe(WIDE))


def load_and_check(recipe: str, *changes: str) -> None:
    loaded = load_recipe(recipe, changes)
    problem(loaded.task).check(loaded)


def test_a_table_without_ratings_knows_lists_alone(tmp_path: Path):
    csv = clicks(tmp_path / "clicks.csv")

    def suited(goal: str) -> Any:
        def make(base: str) -> Any:
            made = load_recipe(base, [f"study.goal={goal}", "study.budget=6trials"])
            return made.model_copy(update={"dataset": str(csv)})

        return open_suited(make, ["study.goal"], device="cpu")

    assert suited("both").recipe.task == suited("ranking").recipe.task == "ranking"
    with pytest.raises(RecipeError, match="predicts no ratings"):
        suited("rating")


def test_verbs_say_which_model_they_are_about(both: sif.Run, tmp_path: Path):
    run = sif.load(both.save(tmp_path / "copy"))
    lists = run.path / "ranking"
    assert rank_run(run.path) == rank_run(lists)
    assert f"judged is what orders the lists, {lists}" in done("evaluate", run.path, "--ranking")
    assert f"sif evaluate {run.path} --ranking" in done("evaluate", run.path)
    out = tmp_path / "m.npz"
    assert f"sif export {run.path} --ratings" in done("export", run.path, "--out", out)
    assert load_export(out).facts["task"] == "ranking"
    wanted = [item["item"] for item in run.recommend("u03", 3)]
    had = [item for item, row in zip(Export.of(run.path).items.to_list(), seen(run, "u03"), strict=True) if row]
    assert [item["item"] for item in load_export(out).recommend("u03", 3, seen=had)] == wanted
    done("export", run.path, "--out", out, "--force", "--ratings")
    assert load_export(out).facts["task"] == "rating"
    refused = CliRunner().invoke(app, ["export", str(lists), "--ratings"])
    assert (refused.exit_code, "has one model; leave out --ratings" in refused.output) == (2, True)
    before = (lists / "model.safetensors").read_bytes()
    assert f"as it was: sif train {lists}" in done("train", run.path, "--epochs", 1)
    assert (lists / "model.safetensors").read_bytes() == before
    retrain(lists, epochs=1)
    assert (lists / "model.safetensors").read_bytes() != before


def test_a_comparison_is_of_what_orders_lists(both: sif.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = sif.load(both.save(tmp_path / "copy"))
    lists = run.path / "ranking"

    def here(job: Any, config: Any, table: Path, observer: Any) -> Any:
        method = METHODS[job["rival"]] if "rival" in job else best_of(job["run"])
        return run_method(method, PairTable.load(table), config, observer) | {"peak_memory_mb": 1.0}

    monkeypatch.setattr("sif.compare.run.isolated", here)
    told = compare_run(run.path, ["popularity"], seeds=1, budget=0.0)
    assert (told["metric"], (lists / "compare.json").is_file()) == ("ndcg@10", True)


def bits(run: sif.Run) -> list[bytes]:
    folders = (run.path, run.path / "ranking")
    return [(folder / name).read_bytes() for folder in folders for name in ("model.safetensors", "genotype.json")]


@pytest.mark.parametrize(
    ("method", "ranks", "lists"),
    [("_finish", False, False), ("_spend", True, False), ("_finish", True, True)],
    ids=["in the ratings", "in the lists, before a model", "in the lists"],
)
def test_an_interrupt_in_either_half_leaves_a_run_that_goes_on(
    method: str, ranks: bool, lists: bool, both: sif.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plainly = getattr(Study, method)

    def stopped(study: Study, *given: Any) -> Any:
        if study.instance.problem.ranks is ranks:
            raise KeyboardInterrupt
        return plainly(study, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Study, method, stopped)
        with pytest.warns(UserWarning, match="interrupted after"):
            run = sif.search(both.path.parent / "mine.csv", recipe=WIDE, settings=BOTH, out=tmp_path / "run")
    assert run.result["study"]["interrupted"] is True
    assert (run.ranking is not None) is lists
    assert len(run.recommend("u03", 3)) == 3
    done("search", "--resume", run.path, "--device", "cpu")
    assert bits(sif.load(run.path)) == bits(both)
    assert sif.load(run.path).result["study"]["interrupted"] is False


def test_a_raised_budget_is_of_both(both: sif.Run, tmp_path: Path):
    path = both.save(tmp_path / "copy")
    done("search", "--resume", path, "--budget", "16trials", "--device", "cpu")
    run = sif.load(path)
    assert run.result["study"]["asked"] == "16trials"
    pairs = ((run, both), (ranking(run), ranking(both)))
    counts = [[len((each.path / "trials.jsonl").read_text().splitlines()) for each in pair] for pair in pairs]
    assert all(now > before for now, before in counts)
    assert sum(now for now, _ in counts) <= 16
    assert run.result["ranking"]["test"] == ranking(run).result["metrics"]["test"]
    refused = CliRunner().invoke(app, ["search", "--resume", str(path), "--budget", "4trials"])
    why = r"4trials is no more than run \S+ has spent already \(\d+trials\); give more: sif (.*--budget (\d+)trials)"
    found = re.search(why, refused.output)
    assert found, refused.output
    assert int(found[2]) > 16
    done(*found[1].split())


def test_both_are_repeated(both: sif.Run, tmp_path: Path):
    out = tmp_path / "again"
    done("search", "--repeat", both.path, "--out", out, "--device", "cpu")
    assert bits(sif.load(out)) == bits(both)
    for path in (out, out / "ranking"):
        assert json.loads((path / "result.json").read_text())["study"]["repeats"]["equal"] is True
    lines = [json.loads(line) for line in (out / "ranking" / "trials.jsonl").read_text().splitlines()]
    changed = "".join(json.dumps(line | {"value": 2.0}) + "\n" for line in lines)
    (out / "ranking" / "trials.jsonl").write_text(changed)
    third = CliRunner().invoke(app, ["search", "--repeat", str(out), "--out", str(tmp_path / "third")])
    assert (third.exit_code, "lists: training 1" in third.output) == (1, True)


def seen(run: sif.Run, user: str) -> Any:
    users = json.loads((run.path / "ids.json").read_text())["users"]
    return sparse.csr_array(sparse.load_npz(run.path / "seen.npz")).toarray()[users.index(user)] > 0

"""Runs that hand over a rival: saved, opened, asked, exported, judged and trained again as an architecture is."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sif_samples import TINY, write_ratings
from typer.testing import CliRunner

import sif
from sif.api import rank_run, retrain, score
from sif.checkpoint import load_tree, save_tree
from sif.cli import app
from sif.compare import compare_run
from sif.errors import DataError, RunError
from sif.problems import open_recipe
from sif.problems.handing import fitted_tree, method_of
from sif.recipes import changes_of, load_recipe
from sif.rivals.handed import LearntRival
from sif.rivals.known import METHODS
from sif.rivals.method import Fitted
from sif.rivals.pair_table import PairTable
from sif.runs.handed import rival_run
from sif.serve.export import load_export
from sif.serve.model import opened_model

FEW: dict[str, dict[str, Any]] = {
    "popularity": {},
    "itemknn": {"similarity": "cosine", "neighbours": 5},
    "als": {"factors": 4, "alpha": 3.0, "regularization": 1.0, "iterations": 15},
    "bpr": {"factors": 4, "learning_rate": 0.01, "regularization": 0.01, "iterations": 20},
    "ease": {"penalty": 5.0},
    "slim": {"alpha": 0.05, "l1_ratio": 0.05},
    "popularity-recent": {"newest": 0.3},
    "rp3beta": {"neighbours": 6, "alpha": 0.8, "beta": 0.4},
    "gf-cf": {"order": 1, "user_power": 0.5, "item_power": 0.4, "ideal": 0.3, "rank": 4},
    "sparse-ease": {"penalty": 5.0, "neighbours": 5, "user_power": 0.5, "dropout": 0.5},
    "bspm": {"user_power": 0.4, "item_power": 0.4, "tilt": 0.1, "sharpen": 0.8, "ideal": 0.3, "rank": 4},
    "turbo-cf": {"alpha": 0.4, "power": 0.8},
    "puresvd": {"factors": 4},
    "ials": {"factors": 4, "unobserved": 4.0, "regularization": 0.1, "power": 1.0, "iterations": 3},
    "elsa": {"factors": 4, "learning_rate": 0.1, "epochs": 3, "batch_size": 8},
    "simplex": {
        "embedding_dim": 4,
        "own_share": 0.0,  # a user is what they have
        "margin": 0.4,
        "negative_weight": 5.0,
        "negatives": 10,
        "learning_rate": 0.01,
        "batch_size": 64,
        "epochs": 5,
    },
    "biased-mf": {
        "loss": "softmax",
        "learning_rate": 0.02,
        "batch_size": 16,
        "epochs": 5,
        "l2": 0.07,
        "embedding_dim": 4,
    },
}
"""A point of each method's grid, small."""
PAIRS = ["global-mean", "biases", "inner-product", "biased-mf", "max", "plus", "deep-wide", "ncf", "outer", "conv-ncf"]
LISTS = ["popularity", "mf", "biased-mf", "neumf"]
EVERY = torch.arange(24)


def instance_of(folder: Path, recipe: str = "clicks", **more: Any) -> Any:
    """A recipe opened on planted ratings in a file."""
    settings = {
        key: value for key, value in TINY.items() if recipe == "ratings-operations" or not key.startswith("tune.")
    }
    folder.mkdir(exist_ok=True)
    resolved = load_recipe(recipe, changes_of(settings | more))
    data = str(write_ratings(folder / "mine.csv"))
    return open_recipe(resolved.model_copy(update={"dataset": data}), device="cpu")


def run_of(folder: Path, name: str, recipe: str = "clicks", settings: dict[str, Any] | None = None) -> sif.Run:
    """A finished run that hands over a rival; of clicks one that learns in its own way."""
    own_way, opened = recipe == "clicks", instance_of(folder, recipe)
    settings = settings or (FEW[name] if own_way else {})
    made: sif.Run = rival_run(opened.recipe, name, folder / "run", settings=settings, own_way=own_way)
    return made


def lists_of(run: sif.Run) -> list[Any]:
    return run.recommend_all(5).rows()


def scores_of(folder: Path) -> torch.Tensor:
    return opened_model(load_tree(folder / "model.safetensors")).form.scores(EVERY)


@pytest.mark.parametrize("name", FEW)
def test_a_method_is_the_same_when_it_is_saved(name: str, tmp_path: Path):
    instance = instance_of(tmp_path)
    fitted = method_of(name).fit(PairTable.of(instance.data.task).without_test(), FEW[name], 0)
    run = run_of(tmp_path, name)
    again, wanted = scores_of(run.path), fitted.scores_of(EVERY)
    assert (again - wanted).abs().max() < 1e-6
    assert torch.equal(again.argsort(dim=1, stable=True), wanted.argsort(dim=1, stable=True))
    assert run.handed is not None
    assert run.handed["name"] == name
    assert run.handed["settings"] == FEW[name]
    assert run.additive is name.startswith("popularity")


BY_ROWS = ["sparse-ease", "rp3beta", "gf-cf", "bspm", "turbo-cf", "puresvd", "ials", "elsa", "simplex"]


@pytest.mark.parametrize("name", ["popularity", "popularity-recent", "itemknn", "ease", "slim", *BY_ROWS])
def test_a_new_user_with_a_known_history_has_its_list(name: str, tmp_path: Path):
    run = run_of(tmp_path, name)
    model = run.recommender()
    rows = sparse.csr_matrix(instance_of(tmp_path).data.task.positives("train"), dtype=np.float32)
    every = np.arange(24)
    known = model.recommend(every, rows, N=6)
    new = model.recommend(every, rows, N=6, recalculate_user=True)
    assert known[0].tolist() == new[0].tolist()
    assert known[1] == pytest.approx(new[1], abs=1e-6)


def test_a_new_user_of_als_is_nearly_its_own(tmp_path: Path):
    run = run_of(tmp_path, "als")
    model, rows = run.recommender(), sparse.csr_array(instance_of(tmp_path).data.task.positives("train"))
    new = model.model.form.scores_of(model.model.form.new_users(rows))
    assert np.corrcoef(new.flatten(), model.model.form.scores(EVERY).flatten())[0, 1] > 0.98


def test_a_new_user_of_factors_alone_is_refused_in_words(tmp_path: Path):
    model = run_of(tmp_path, "bpr").recommender()
    row = sparse.csr_matrix(([1.0], [2], [0, 1]), shape=(1, 18))
    with pytest.raises(DataError, match=r"an inner product of 5 dimensions; it knows its users by number alone"):
        model.recommend([0], row, recalculate_user=True)


def test_biased_mf_solves_for_new_users(tmp_path: Path):
    model = run_of(tmp_path, "biased-mf").recommender()
    row = sparse.csr_matrix(([1.0, 1.0], [2, 5], [0, 2]), shape=(1, 18))
    ids, _ = model.recommend([0], row, N=3, recalculate_user=True)
    assert not {2, 5} & set(ids[0].tolist())


@pytest.mark.parametrize("to", ["npz", "safetensors", "onnx"])
@pytest.mark.parametrize("name", ["popularity", "itemknn", "ease", "als", "biased-mf", *BY_ROWS])
def test_an_export_scores_as_the_run(name: str, to: str, tmp_path: Path):
    run, wanted = run_of(tmp_path, name), None
    wanted = scores_of(run.path)
    path = tmp_path / f"model.{to}"
    told = CliRunner().invoke(app, ["export", str(run.path), "--to", to, "--out", str(path), "--json"])
    assert told.exit_code == 0, told.output
    if to == "onnx":
        runtime = pytest.importorskip("onnxruntime")
        (scores,) = runtime.InferenceSession(path).run(None, {"users": EVERY.numpy()})
        assert (torch.from_numpy(scores) - wanted).abs().max() < 1e-5
        return
    export = load_export(path)
    users = json.loads((run.path / "ids.json").read_text())["users"]
    assert torch.equal(export.scores(users), wanted)
    assert export.facts["rival"]["name"] == name
    seen = [row[1] for row in rows_of(run, users[0])]
    mine = [(each["item"], each["score"]) for each in export.recommend(users[0], 3, seen=seen)]
    assert mine == [(each["item"], pytest.approx(each["score"])) for each in run.recommend(users[0], 3)]


def rows_of(run: sif.Run, user: str) -> list[list[str]]:
    lines = Path(json.loads(json.dumps(run.result))["dataset"]["source"]).read_text().splitlines()[1:]
    return [line.split(",") for line in lines if line.startswith(f"{user},")]


def test_who_is_alike(tmp_path: Path):
    model = run_of(tmp_path / "als", "als").recommender()
    ids, cosines = model.similar_items(3, N=2)
    assert (ids[0], cosines[0]) == (3, pytest.approx(1.0, abs=1e-5))
    with pytest.raises(DataError, match=r"items on what a user has; it has no vectors of its items"):
        run_of(tmp_path / "ease", "ease").recommender().similar_items(3)


@pytest.mark.parametrize("name", ["ease", "itemknn", "biased-mf"])
def test_a_recommender_of_a_rival_is_saved_and_pickled(name: str, tmp_path: Path):
    model = run_of(tmp_path, name).recommender()
    model.save(tmp_path / "m.safetensors")
    for again in (sif.Recommender.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(model))):
        assert torch.equal(again.model.form.scores(EVERY), model.model.form.scores(EVERY))
        assert again.cold.tolist() == model.cold.tolist()
    assert model.genotype is None
    if name != "biased-mf":
        with pytest.raises(RunError, match=f"{name} .* is no network of a space"):
            model.network  # noqa: B018


def test_a_file_that_lacks_something_is_named(tmp_path: Path):
    run = run_of(tmp_path, "ease")
    file = run.path / "model.safetensors"
    tree = load_tree(file)
    for broken in (
        {key: value for key, value in tree.items() if key != "served"},
        tree | {"served": tree["served"] | {"arrays": {}}},
    ):
        save_tree(file, broken)
        with pytest.raises(RunError, match=r"ease that lacks '.*'; train it again|lacks 'weights'|damaged"):
            sif.load(run.path).recommend("u03")
    save_tree(file, tree | {"served": tree["served"] | {"format": "sif-items-9"}})
    with pytest.raises(RunError, match="unknown form 'sif-items-9'"):
        sif.load(run.path).recommend("u03")


def test_the_command_line_recommends_and_shows(tmp_path: Path):
    run, runner = run_of(tmp_path, "ease"), CliRunner()
    told = runner.invoke(app, ["recommend", str(run.path), "--user", "u03", "-k", "3"])
    assert told.exit_code == 0, told.output
    told = runner.invoke(
        app, ["recommend", str(run.path), "--all", "--out", str(tmp_path / "lists.parquet"), "-k", "3"]
    )
    assert told.exit_code == 0, told.output
    told = runner.invoke(app, ["evaluate", str(run.path), "--ranking"])
    assert told.exit_code == 0, told.output
    told = runner.invoke(app, ["search", "--resume", str(run.path)])
    assert told.exit_code == 0, told.output
    assert "score = ease (penalty 5.0)" in told.output
    told = runner.invoke(app, ["score", str(run.path)])
    assert told.exit_code == 2
    assert "a rival: it is no architecture" in " ".join(told.output.split())


def test_weights_of_items_are_no_factors_for_implicit(tmp_path: Path):
    run = run_of(tmp_path, "ease")
    told = CliRunner().invoke(app, ["export", str(run.path), "--to", "implicit", "--out", str(tmp_path / "m.npz")])
    assert told.exit_code == 2
    assert "ease (penalty 5.0) is no inner product" in " ".join(told.output.split())


@pytest.mark.parametrize("name", PAIRS)
def test_a_network_is_the_same_when_it_is_saved(name: str, tmp_path: Path):
    run = run_of(tmp_path, name, "ratings-operations")
    network = instance_of(tmp_path, "ratings-operations").load_model(run.directory)
    pairs = torch.cartesian_prod(EVERY, torch.arange(18)).T
    with torch.no_grad():
        wanted = network(pairs).view(24, 18)
    assert (scores_of(run.path) - wanted).abs().max() < 1e-5
    assert run.result["metrics"] == {key: score(run.path)[key] for key in ("valid", "test")}
    first = run.recommend("u03", 3)
    assert [each["score"] for each in first] == sorted((each["score"] for each in first), reverse=True)


@pytest.mark.parametrize("name", LISTS)
def test_a_network_of_lists_is_the_same_when_it_is_saved(name: str, tmp_path: Path):
    opened = instance_of(tmp_path)
    run = rival_run(opened.recipe, name, tmp_path / "run")
    assert run.result["metrics"] == {key: score(run.path)[key] for key in ("valid", "test")}
    ranked = rank_run(run.path, k=(10,))
    assert ranked["parts"]["valid"]["model"]["ndcg@10"] == pytest.approx(run.result["metrics"]["valid"]["ndcg@10"])


def test_a_context_is_served_by_the_network(tmp_path: Path):
    opened = instance_of(
        tmp_path,
        "ratings-operations",
        **{"context": "month", "space.name": "tensor-interaction", "space.operations": ["plus_plus"]},
    )
    run = rival_run(opened.recipe, "biased-cp", tmp_path / "run")
    assert len(run.recommend("u03", 3)) == 3
    with pytest.raises(RunError, match="context mode"):
        run.recommender()


@pytest.mark.parametrize("name", ["ease", "itemknn", "biased-mf"])
def test_a_run_of_a_rival_is_trained_again(name: str, tmp_path: Path):
    run, runner = run_of(tmp_path, name), CliRunner()
    before = lists_of(run)
    told = runner.invoke(app, ["train", str(run.path), "--seed", str(run.result["seed"])])
    assert told.exit_code == 0, told.output
    assert lists_of(sif.load(run.path)) == before
    assert runner.invoke(app, ["evaluate", str(run.path)]).exit_code == 0
    told = runner.invoke(app, ["train", str(run.path), "--all-data"])
    assert told.exit_code == 0, told.output
    seen = load_tree(run.path / "model.safetensors")["counts"][:24].sum()
    assert int(seen) == 300
    told = runner.invoke(app, ["train", str(run.path), "--epochs", "3"])
    assert told.exit_code == 2
    assert "learns in its own way; leave out epochs" in " ".join(told.output.split())


def test_a_network_of_a_rival_is_trained_again(tmp_path: Path):
    run = run_of(tmp_path, "biased-mf", "ratings-operations", {"l2": 0.01})
    before = lists_of(run)
    retrain(run.path, seed=run.result["seed"])
    again = sif.load(run.path)
    assert lists_of(again) == before
    retrain(run.path, seed=7)
    assert lists_of(again) != before
    retrain(run.path, all_data=True)
    assert again.best_epoch == 3


def test_counts_are_counted_anew_on_all_data(tmp_path: Path):
    run = rival_run(instance_of(tmp_path).recipe, "popularity", tmp_path / "run")
    retrain(run.path, all_data=True)
    assert scores_of(run.path)[0].sum() == 300


def test_a_rival_that_orders_is_handed_over_by_a_run_of_ratings(tmp_path: Path):
    recipe = instance_of(tmp_path, "ratings-operations").recipe
    run = rival_run(recipe, "ease", tmp_path / "run", settings=FEW["ease"])
    assert len(run.recommend("u03", 3)) == 3
    assert rank_run(run.path)["parts"]["valid"]["model"]["ndcg@10"] > 0
    with pytest.raises(RunError, match=r"orders items and predicts no ratings: .*--ranking"):
        score(run.path)
    retrain(run.path, all_data=True)
    assert len(sif.load(run.path).recommend("u03", 3)) == 3


@pytest.mark.parametrize("name", ["ease", "bpr"])
def test_a_comparison_has_the_rival_that_the_run_hands_over(name: str, tmp_path: Path, in_process: list[str]):
    run = run_of(tmp_path, name)
    compared = compare_run(run.path, ["popularity"], budget=0, seeds=2)
    found = compared["rows"][0]
    assert found["source"].startswith(name)
    assert found["valid"]["ndcg@10"] == pytest.approx(run.result["metrics"]["valid"]["ndcg@10"])
    assert len(found["seeds"]) == (1 if name == "ease" else 2)


def test_what_has_scores_alone_is_refused_in_words(tmp_path: Path):
    instance = instance_of(tmp_path)
    fitted = Fitted(lambda users: torch.zeros(len(users), 18), 0)
    with pytest.raises(RunError, match=r"mine gives its scores by a function alone, and a run hands over what it can"):
        fitted_tree(instance, LearntRival("mine"), fitted)


def test_a_run_without_an_architecture_says_so(tmp_path: Path):
    run = run_of(tmp_path, "ease")
    assert run.formula == "ease (penalty 5.0)"
    with pytest.raises(RunError, match=r"hands over ease \(penalty 5.0\), a rival: it is no architecture"):
        run.genotype  # noqa: B018
    with pytest.raises(RunError, match="not trained in epochs"):
        run.best_epoch  # noqa: B018
    assert "ease (penalty 5.0)" in (run.path / "report.html").read_text()


RECBOLE: dict[str, dict[str, Any]] = {
    "lightgcn": {"epochs": 2, "embedding_size": 4},
    "neumf": {
        "epochs": 2,
        "mf_embedding_size": 4,
        "mlp_embedding_size": 4,
        "mlp_hidden_size": [8, 4],
        "learning_rate": 0.05,
    },
    "multvae": {"epochs": 2, "mlp_hidden_size": [6], "latent_dimension": 4},
    "recvae": {"epochs": 2, "hidden_dimension": 6, "latent_dimension": 4},
}


@pytest.mark.parametrize("name", RECBOLE)
def test_a_model_of_recbole_is_the_same_when_it_is_saved(name: str, tmp_path: Path):
    pytest.importorskip("recbole")
    instance = instance_of(tmp_path)
    fitted = method_of(name).fit(PairTable.of(instance.data.task).without_test(), RECBOLE[name], 0)
    wanted = fitted.scores_of(EVERY)
    form = opened_model(fitted_tree(instance, LearntRival(name), fitted)).form
    made = form.scores(EVERY).sigmoid() if name == "neumf" else form.scores(EVERY)
    assert (made - wanted).abs().max() < 1e-5
    assert fitted.epoch in (1, 2)
    rows = sparse.csr_array(instance.data.task.positives("train"))
    if name == "multvae":  # the encoder makes a known user of their row
        assert (form.scores_of(form.new_users(rows)) - wanted).abs().max() < 1e-5
        return
    with pytest.raises(DataError, match="it knows its users by number alone"):
        form.new_users(rows)


def test_every_method_hands_over():
    assert set(FEW) | set(RECBOLE) == set(METHODS)


@pytest.mark.parametrize("name", ["inner-product", "biased-mf", "max", "biases"])
def test_a_new_user_of_a_network_is_near_its_own(name: str, tmp_path: Path):
    run, data = run_of(tmp_path, name, "ratings-operations"), instance_of(tmp_path, "ratings-operations").data
    model, known = run.recommender(), data.interactions.take(data.split.train)
    rows = known.user_items()
    every = np.arange(24)
    ids, values = model.recommend(every, rows, N=18, recalculate_user=True)
    own, theirs = model.recommend(every, rows, N=18)
    assert np.isfinite(values[ids >= 0]).all()
    assert abs(values[ids >= 0].mean() - theirs[own >= 0].mean()) < 1.0


def test_weights_of_clicks_count_in_a_new_row(tmp_path: Path):
    file = tmp_path / "plays.csv"
    generator = np.random.default_rng(1)
    pairs = generator.permutation(20 * 12)[:150]
    lines = [f"u{p // 12},i{p % 12},{w}" for p, w in zip(pairs, generator.integers(1, 9, 150), strict=True)]
    file.write_text("user,item,plays\n" + "\n".join(lines) + "\n")
    changes = {"ranking.weight": "confidence", "columns.weight": "plays", "ranking.weight_power": 0.5}
    recipe = load_recipe("clicks", changes_of(TINY | changes)).model_copy(update={"dataset": str(file)})
    run = rival_run(recipe, "itemknn", tmp_path / "run", settings=FEW["itemknn"])
    data, model = open_recipe(recipe, device="cpu").data, run.recommender()
    rows, known = data.split.train, data.interactions
    weights = known.weight[rows], (known.user[rows], known.item[rows])
    played = sparse.csr_matrix(weights, shape=(known.n_users, known.n_items))
    form = model.model.form
    assert (form.scores_of(form.new_users(sparse.csr_array(played))) - form.scores(torch.arange(20))).abs().max() < 1e-5

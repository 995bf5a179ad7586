"""Blends: chosen on validation, served as a sum, handed over by a study, and refused where they are not enough."""

from pathlib import Path
from types import SimpleNamespace as Namespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from sif_samples import TINY, write_ratings
from test_sif_handed import instance_of, lists_of, run_of, scores_of
from test_sif_ranking_run import clicks
from test_sif_studies import STUDY

import sif
from sif.api import retrain, score
from sif.checkpoint import load_tree, save_tree
from sif.journal import Journal
from sif.metrics import rank_metrics
from sif.problems.handing import BLEND, fitted_tree, method_of
from sif.rivals.handed import LearntRival
from sif.rivals.pair_table import PairTable
from sif.run_directory import RunDirectory
from sif.serve.blend import Blend, standard_scores
from sif.serve.blended import blend_tree
from sif.serve.export import Export, load_export
from sif.serve.export_formats import safetensors_file
from sif.serve.model import opened_model
from sif.studies import blend as blends
from sif.studies.blend import Mixed, mixed
from sif.studies.study import Study

EASE, KNN = {"penalty": 5.0}, {"similarity": "cosine", "neighbours": 5}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return instance_of(tmp_path_factory.mktemp("blend"))


@pytest.fixture(scope="module")
def trees(table: Any) -> dict[str, Any]:
    pairs = PairTable.of(table.final_task).without_test()
    points: list[tuple[str, dict[str, Any]]] = [("ease", EASE), ("itemknn", KNN)]
    fitted = {name: method_of(name).fit(pairs, settings, 0) for name, settings in points}
    return {name: fitted_tree(table, LearntRival(name, dict(settings)), fitted[name]) for name, settings in points}


def sum_of(table: Any, trees: dict[str, Any], weights: list[float]) -> Any:
    task = table.final_task
    return blend_tree([*trees.values()], weights, task.objective, task.counts(), {"members": []})


def test_standard_scores_have_mean_0_and_deviation_1_and_equal_ones_are_zeros():
    scores = standard_scores(torch.tensor([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]))
    assert torch.allclose(scores[0], torch.tensor([-1.2247, 0.0, 1.2247]), atol=1e-4)
    assert scores[1].tolist() == [0.0, 0.0, 0.0]


def test_a_blend_is_the_weighted_sum_of_its_members_also_once_it_was_saved(
    table: Any, trees: dict[str, Any], tmp_path: Path
):
    save_tree(tmp_path / "m.safetensors", sum_of(table, trees, [0.7, 0.3]))
    model = opened_model(load_tree(tmp_path / "m.safetensors"))
    users = torch.arange(model.sizes[0])
    alone = [standard_scores(opened_model(tree).form(users).float()) for tree in trees.values()]
    wanted = 0.7 * alone[0] + 0.3 * alone[1]
    assert torch.allclose(model.form(users), wanted, atol=1e-5)
    some = torch.tensor([4, 1, 7])
    assert torch.allclose(model.form.scores(users[:3], some), wanted[:3][:, some], atol=1e-5)
    assert model.formula == "0.7 (ease (penalty 5.0)) + 0.3 (itemknn (similarity cosine, neighbours 5))"


def test_what_members_have_in_common_is_written_once(table: Any, trees: dict[str, Any], tmp_path: Path):
    """Two models that read the same lists share their memory, which a file of tensors may not."""
    ease = trees["ease"]
    twice = blend_tree([ease, ease], [0.5, 0.5], table.final_task.objective, table.final_task.counts(), {"members": []})
    for name, tree in (("one", ease), ("two", twice)):
        save_tree(tmp_path / name, tree)
    assert (tmp_path / "two").stat().st_size < 1.5 * (tmp_path / "one").stat().st_size
    users = torch.arange(table.final_task.sizes[0])
    form, alone = (opened_model(load_tree(tmp_path / name)).form for name in ("two", "one"))
    assert torch.allclose(form(users), standard_scores(alone(users).float()), atol=1e-5)
    both = opened_model(twice)
    written = safetensors_file(both.form, {"users": [], "items": [], "titles": []})
    assert len(written) > (tmp_path / "one").stat().st_size
    whole = torch.arange(6.0)
    save_tree(tmp_path / "parts", {"whole": whole, "part": whole[2:4], "again": whole, "none": whole[:0]})
    read = load_tree(tmp_path / "parts")
    assert [read[key].tolist() for key in ("part", "again", "none")] == [[2.0, 3.0], whole.tolist(), []]


def test_a_new_user_with_the_row_of_a_known_one_has_the_same_scores(table: Any, trees: dict[str, Any]):
    form = opened_model(sum_of(table, trees, [0.5, 0.5])).form
    rows = table.final_task.positives("train")[:4].astype(np.float32)
    assert torch.allclose(form.scores_of(form.new_users(rows)), form(torch.arange(4)), atol=1e-5)


def test_what_is_added_is_what_is_surely_better(table: Any, trees: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blends, "_SURE", 1e9)
    assert len(mixed(table, [*trees.items()]).weights) == 1
    monkeypatch.setattr(blends, "_SURE", -1e9)
    both = mixed(table, [*trees.items()])
    assert len(both.weights) == 2
    assert sum(both.weights.values()) == pytest.approx(1.0)

    task, metric = table.final_task, table.final_task.metric

    def value(weights: list[float]) -> float:
        form = opened_model(sum_of(table, trees, weights)).form
        return float(task.evaluate(lambda asked: form(asked.users), "valid")[metric])

    ones = [value([1.0, 0.0]), value([0.0, 1.0])]
    alone, taken, means = max(ones), [int(one == max(ones)) for one in ones], []
    for _ in range(10):  # of both, that is taken once more with which the mean is better
        more = [[taken[0] + 1, taken[1]], [taken[0], taken[1] + 1]]
        taken = max(more, key=lambda each: value([part / sum(each) for part in each]))
        means.append(([part / sum(taken) for part in taken], value([part / sum(taken) for part in taken])))
    told = [both.weights[name] for name in trees]
    assert told == pytest.approx(max(means, key=lambda each: each[1])[0], abs=1e-4)
    assert both.gain == pytest.approx(abs(value(told) - alone), abs=1e-6)


def test_of_a_large_catalogue_what_models_rank_first_is_enough(
    table: Any, trees: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """Each user's columns are the first items of the models and what is wanted: the metric of each is the whole one."""

    table = table.changed({"ranking.k": 3})
    models, task = [opened_model(tree) for tree in trees.values()], table.final_task
    whole = blends._Lists(table, models)
    monkeypatch.setattr(blends, "_FIRST", 1)
    narrow = blends._Lists(table, models)
    for name, value in (("_ENTRIES", 1), ("_LEAST_USERS", 10_000)):
        monkeypatch.setattr(blends, name, value)
    in_blocks = blends._Lists(table, models)
    assert narrow._columns.shape[1] < whole._columns.shape[1] < task.sizes[1], "what is seen is in none"
    assert not in_blocks._whole
    for model in models:
        first, *others = (each.losses(each.scores(model)) for each in (whole, narrow, in_blocks))
        assert all(torch.allclose(first, other, atol=1e-12) for other in others)
        judged = task.evaluate(lambda asked, form=model.form: form(asked.users), "valid")[task.metric]
        assert float(first.mean()) == pytest.approx(-judged, abs=1e-9)


def test_items_that_a_model_ranks_alike_are_no_better_for_being_few():
    """Three scores of a user are not 0: the item that is wanted ties with 1,997, not with those that are looked at."""
    rng, users, items = np.random.default_rng(0), 400, 2000
    said, wanted = torch.zeros(users, items), rng.integers(0, items, users)
    for user in range(users):
        said[user, rng.choice(items, 3, replace=False)] = 1.0
    relevant = sparse.csr_array((np.ones(users), (np.arange(users), wanted)), shape=(users, items))
    task = Namespace(settings=Namespace(k=10), metric="ndcg@10", positives=lambda part: relevant)
    task.seen = lambda part: sparse.csr_array((users, items))
    model: Any = Namespace(form=lambda numbers: said[numbers])
    model.form.n_items = items
    judge = blends._Lists(Namespace(final_task=task, recipe=Namespace(seed=0)), [model])  # type: ignore[arg-type]
    found = -float(judge.losses(judge.scores(model)).mean())
    exact = rank_metrics(lambda rows: said[rows], task.seen("valid"), relevant, k=(10,))["ndcg@10"]
    assert found == pytest.approx(exact, abs=0.004)
    assert judge._columns.shape[1] < 110


def test_a_study_of_lists_hands_over_a_blend_that_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def halves(instance: Any, trees: list[tuple[str, Any]]) -> Mixed:
        return Mixed({trees[0][0]: 0.5, trees[-1][0]: 0.5}, 0.1)

    monkeypatch.setattr(blends, "mixed", halves)
    monkeypatch.setattr(Study, "winner", lambda self: BLEND)  # on so few pairs anything may win
    csv = clicks(tmp_path / "mine.csv")
    run = sif.search(csv, recipe="clicks", settings=STUDY, out=tmp_path / "run", device="cpu")
    rows, metric = run.result["rows"], run.result["metric"]
    assert run.result["metrics"]["valid"][metric] == rows["blend"]["valid"][metric]
    assert run.result["handed"]["name"] == "blend"
    assert isinstance(opened_model(load_tree(run.path / "model.safetensors")).form, Blend)
    assert run.recommend_all(5).rows()
    assert score(tmp_path / "run")["test"] == pytest.approx(rows["blend"]["test"])
    before = lists_of(run)
    retrain(tmp_path / "run")
    assert lists_of(sif.load(tmp_path / "run")) == before  # the same seed: each member is what it was
    Export.of(tmp_path / "run").write(tmp_path / "run.npz", "npz")
    users = run.result["dataset"]["users"]
    wanted = opened_model(load_tree(run.path / "model.safetensors")).form.scores(torch.arange(users))
    assert torch.allclose(load_export(tmp_path / "run.npz").served.scores(torch.arange(users)), wanted, atol=1e-4)
    retrain(tmp_path / "run", all_data=True)
    assert isinstance(opened_model(load_tree(run.path / "model.safetensors")).form, Blend)


def test_a_study_of_ratings_adds_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blends, "_SURE", 0.0)
    csv = write_ratings(tmp_path / "mine.csv", users=60, items=40, count=900)
    quick = {key: value for key, value in TINY.items() if not key.startswith(("tune.", "space."))}
    settings = quick | {
        "train.optimiser.learning_rate": 0.05,
        "study.budget": "14trials",
        "study.goal": "rating",
        "space.embedding_dim": 4,
    }
    run = sif.search(csv, recipe="movielens-wide", settings=settings, out=tmp_path / "run", device="cpu")
    rows, metric = run.result["rows"], run.result["metric"]
    best = min(rows, key=lambda name: rows[name]["valid"][metric])
    assert best == "blend" == run.result["handed"]["name"]
    form = opened_model(load_tree(run.path / "model.safetensors")).form
    assert isinstance(form, Blend)
    assert not form.standardised
    assert score(tmp_path / "run")["test"][metric] == pytest.approx(rows["blend"]["test"][metric])
    before = run.result["metrics"]["valid"][metric]
    assert retrain(tmp_path / "run")["valid"][metric] == pytest.approx(before)
    retrain(tmp_path / "run", all_data=True)
    assert isinstance(opened_model(load_tree(run.path / "model.safetensors")).form, Blend)


@pytest.mark.parametrize("what", ["blend", "rival"])
@pytest.mark.parametrize("all_data", [False, True])
def test_a_training_that_was_killed_is_not_taken_for_that_of_another_model(
    what: str, all_data: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A study that goes on may hand over another sum, or another point, than the one that `sif train` was at."""

    def model(instance: Any, penalty: float, share: float) -> Any:
        pairs = PairTable.of(instance.final_task).without_test()
        points: list[tuple[str, dict[str, Any]]] = [("ease", {"penalty": penalty}), ("itemknn", KNN)]
        made = [
            fitted_tree(instance, LearntRival(name, settings), method_of(name).fit(pairs, settings, 0))
            for name, settings in points
        ]
        return (
            sum_of(instance, {"ease": made[0], "itemknn": made[1]}, [share, 1 - share]) if what == "blend" else made[0]
        )

    run, instance = run_of(tmp_path, "ease"), instance_of(tmp_path)
    wanted = run.save(tmp_path / "plain")
    instance.hand_over(RunDirectory.open(wanted), model(instance, 500.0, 0.2))
    retrain(wanted, all_data=all_data)

    instance.hand_over(RunDirectory.open(run.path), model(instance, 1.0, 0.8))
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "clear", interrupted)
        with pytest.raises(KeyboardInterrupt):
            retrain(run.path, all_data=all_data)
    kept = {path.name: path.stat().st_mtime_ns for path in (run.path / "retraining").glob("*.safetensors")}
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "clear", interrupted)
        with pytest.raises(KeyboardInterrupt):
            retrain(run.path, all_data=all_data)
    again = {path.name: path.stat().st_mtime_ns for path in (run.path / "retraining").glob("*.safetensors")}
    assert again == kept, "the same model is not trained twice"
    instance.hand_over(RunDirectory.open(run.path), model(instance, 500.0, 0.2))
    retrain(run.path, all_data=all_data)
    assert scores_of(run.path) == pytest.approx(scores_of(wanted))


def interrupted(self: Journal) -> None:
    raise KeyboardInterrupt

"""The refit of a study: on what, for how long, without which rows, and what is said of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Namespace
from typing import Any

import numpy as np
import pytest
import torch
from sif_samples import planted_rows, sets, text_of
from test_sif_ranking_run import SMALL, clicks
from test_sif_studies import STUDY
from test_sif_study_steps import interrupted_at
from typer.testing import CliRunner

import sif
import sif.studies.refit
from nasp_core.errors import SearchError
from nasp_core.loop import Observer
from nasp_core.search import train_genotype
from sif.api import rank_run, retrain, score
from sif.checkpoint import load_tree
from sif.cli import app
from sif.compare import METHODS, PairTable
from sif.compare.source import best_of
from sif.errors import RecipeError
from sif.metrics import rank_metrics
from sif.problems import open_recipe
from sif.problems.handing import BLEND
from sif.problems.tables import TableInstance
from sif.recipes import changes_of, load_recipe
from sif.results import is_refit, refit_done
from sif.run_directory import RunDirectory
from sif.serve.model import opened_model
from sif.studies import Configuration
from sif.studies.blend import Mixed
from sif.studies.judging import Judging
from sif.studies.refit import refit_seconds, refits
from sif.studies.study import Study
from sif.studies.trials import StudyTrial

RATED: dict[str, Any] = {
    "space.embedding_dim": 4,
    "space.branches": 1,
    "train.epochs": 9,
    "train.batch_size": 32,
    "train.optimiser.learning_rate": 0.05,
    "search.epochs": 1,
    "baselines.names": ["global-mean", "biased-mf"],
    "baselines.random": False,
    "study.budget": "8trials",
}
CLICKED = {**STUDY, "study.budget": "12trials"}


def cut(lines: list[str], folder: Path, sizes: dict[str, int]) -> dict[str, str]:
    """Write parts of so many lines, drawn, and the rest as `dataset`; return the settings that name them."""
    head, *rows = lines
    order, at = np.random.default_rng(1).permutation(len(rows)), 0
    named = {}
    for part, size in {**sizes, "dataset": len(rows) - sum(sizes.values())}.items():
        path = folder / f"{part}.csv"
        path.write_text("\n".join([head, *(rows[place] for place in order[at : at + size])]) + "\n")
        named[part], at = str(path), at + size
    return named


def ratings(folder: Path, **sizes: int) -> dict[str, str]:
    return cut(text_of(planted_rows()).splitlines(), folder, sizes)


def pairs(folder: Path, **sizes: int) -> dict[str, str]:
    return cut(clicks(folder / "all.csv").read_text().splitlines(), folder, sizes)


def opened(recipe: str, settings: dict[str, Any]) -> TableInstance:
    instance = open_recipe(load_recipe(recipe, changes_of(settings)), device="cpu")
    assert isinstance(instance, TableInstance)
    return instance


def searched(recipe: str, settings: dict[str, Any], out: Path) -> sif.Run:
    data = settings["dataset"]
    given = {key: value for key, value in settings.items() if key != "dataset"}
    run: sif.Run = sif.search(data, recipe=recipe, settings=given, out=out, device="cpu")
    return run


@pytest.fixture(scope="module")
def clicked(tmp_path_factory: pytest.TempPathFactory) -> tuple[sif.Run, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("clicked")
    settings = CLICKED | pairs(folder, test=40)
    return searched("clicks", settings, folder / "run"), settings


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> tuple[sif.Run, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("rated")
    settings = RATED | ratings(folder, test=60)
    return searched("movielens-wide", settings, folder / "run"), settings


@pytest.mark.parametrize(
    ("sizes", "auto"),
    [({"test": 60}, True), ({"valid": 60, "test": 60}, False), ({"valid": 60}, False), ({}, False)],
)
def test_a_study_refits_by_itself_where_training_and_test_part_alone_are_given(
    sizes: dict[str, int], auto: bool, tmp_path: Path
):
    check_auto(ratings(tmp_path, **sizes), auto)


@pytest.mark.parametrize(("words", "auto"), [(("0", "1", "2"), False), (("train", "test"), True), (("0", "1"), True)])
def test_a_column_of_parts_is_as_good_as_files(words: tuple[str, ...], auto: bool, tmp_path: Path):
    head, *rows = text_of(planted_rows()).splitlines()
    said = [f"{row},{words[place * len(words) // len(rows)]}" for place, row in enumerate(rows)]
    path = tmp_path / "all.csv"
    path.write_text("\n".join([f"{head},split", *said]) + "\n")
    check_auto({"dataset": str(path), "columns.part": "split"}, auto)
    with pytest.raises(RecipeError, match=r"columns.part = .split.: the parts are files of their own"):
        opened("movielens-wide", {"dataset": str(path), "columns.part": "split", "test": str(path)})


def check_auto(data: dict[str, str], auto: bool) -> None:
    named = RATED | data
    assert refits(opened("movielens-wide", named)) is auto
    assert refits(opened("movielens-wide", named | {"study.refit": True})) is True
    assert refits(opened("movielens-wide", named | {"study.refit": False})) is False
    averaging = {"train.average_after": 1, "train.keep_best": True}
    assert refits(opened("movielens-wide", named | averaging)) is False


def test_every_row_says_that_it_was_refit_and_figures_are_in_one_unit(rated: tuple[sif.Run, dict[str, Any]]):
    run, settings = rated
    result, instance = run.result, opened("movielens-wide", settings)
    assert {"found", "global-mean"} <= set(result["rows"])
    both = instance.on_both()
    assert (len(both.data.split.valid), both.fingerprint) == (0, instance.fingerprint)
    assert result["study"]["refit"]["done"] is True
    assert result["study"]["refit"]["rows"] == len(instance.data.split.train) + len(instance.data.split.valid)
    for row in result["rows"].values():
        assert row["refit"] is True
        for part in ("valid", "test"):
            assert row[part]["rmse_standardised"] == pytest.approx(row[part]["rmse"] / result["scale"]["std"])
    known = instance.data.interactions
    assert known.rating is not None
    mean = known.rating[both.data.split.train].mean(dtype=np.float64)
    rmse = float(np.sqrt(np.square(known.rating[both.data.split.test] - mean).mean()))
    assert result["rows"]["global-mean"]["test"]["rmse"] == pytest.approx(rmse, rel=1e-5)
    assert result["test_reads"] == len(result["rows"])


def test_what_was_found_is_trained_on_both_parts_for_the_epochs_that_validation_chose(
    rated: tuple[sif.Run, dict[str, Any]],
):
    run, settings = rated
    told, best = run.result["study"]["best"], run.result["epochs"]["best"]
    both = opened("movielens-wide", settings).on_both().changed(told["settings"])
    genotype = both.genotype({name: tuple(names) for name, names in told["choices"].items()})
    training = replace(both.training({}), patience=None, keep_best=False, evaluate_every=0)
    network = both.build(genotype)
    done = train_genotype(network, both.final_task, training, key=genotype.key(), stop=best)
    trace = [json.loads(line) for line in (run.path / "trace.jsonl").read_text().splitlines()]
    assert [each["loss"] for each in trace if each.get("refit")] == [each["loss"] for each in done.trace]
    assert len(done.trace) == best
    again = both.evaluate(network, "test")
    assert again == run.result["rows"]["found"]["test"]
    assert run.result["rows"]["found"]["valid"]["rmse_standardised"] == pytest.approx(told["value"])


def test_a_network_of_a_rival_is_trained_likewise(tmp_path: Path):
    settings = RATED | ratings(tmp_path, test=60) | {"study.budget": "14trials", "study.goal": "rating"}
    settings |= {"baselines.names": ["global-mean", "biases"]}
    run = searched("movielens-wide", settings, tmp_path / "run")
    both, row, found = opened("movielens-wide", settings).on_both(), run.result["rows"]["biases"], []
    training = replace(both.training(row["settings"]), patience=None, keep_best=False, evaluate_every=0)
    for epoch in range(1, training.epochs + 1):
        network = both.rivals()["biases"].build(row["settings"])
        train_genotype(network, both.final_task, training, key="baseline/biases", stop=epoch)
        found.append(both.evaluate(network, "test"))
    assert row["test"] in found


def test_what_orders_the_lists_of_ratings_is_refit_too(rated: tuple[sif.Run, dict[str, Any]]):
    inner = RunDirectory.open(rated[0].path).lists().result()
    assert inner["task"] == "ranking"
    assert inner["study"]["refit"]["rows"] == rated[0].result["study"]["refit"]["rows"]
    assert is_refit(inner)
    ranked = rank_run(rated[0].path, device="cpu")["parts"]["test"]["model"]
    assert ranked["ndcg@10"] == pytest.approx(inner["metrics"]["test"]["ndcg@10"])


def test_rivals_learn_from_both_parts_too(clicked: tuple[sif.Run, dict[str, Any]]):
    run, settings = clicked
    both: Any = opened("clicks", settings).on_both()
    table = PairTable.of(both.final_task, needs=("train", "test"))
    rows = run.result["rows"]
    assert {"popularity", "ease", "itemknn"} <= set(rows)
    for name in ("popularity", "ease", "itemknn"):
        fitted = METHODS[name].fit(table.without_test(), rows[name]["settings"], 0)
        told = rank_metrics(fitted.scores_of, table.seen_test, table.test, k=(10,), batch=8)
        assert rows[name]["test"] == pytest.approx(told)
        assert rows[name]["refit"] is True


def test_a_refit_model_is_judged_as_it_was_trained(
    clicked: tuple[sif.Run, dict[str, Any]], rated: tuple[sif.Run, dict[str, Any]], tmp_path: Path
):
    for run, _ in (clicked, rated):
        assert is_refit(run.result)
        told = score(run.path, device="cpu")
        assert told["valid"] is None
        assert told["test"] == pytest.approx(run.result["metrics"]["test"])
        ranked = rank_run(run.path, device="cpu")["parts"]
        assert ranked["valid"] is None
        if run.result["task"] == "ranking":
            assert ranked["test"]["model"]["ndcg@10"] == pytest.approx(told["test"]["ndcg@10"])
    method, both = best_of(rated[0].path), opened("movielens-wide", rated[1]).on_both()
    table = PairTable.of(both.ranking_task(), needs=("train",))
    assert "refit on training and validation part, of which the rivals learn the first alone" in method.note
    users = torch.arange(3)
    served = opened_model(load_tree(rated[0].path / "model.safetensors")).form
    torch.testing.assert_close(method.fit(table, {}, 0).scores_of(users), served.scores(users))
    copy = rated[0].save(tmp_path / "copy")
    retrain(copy, device="cpu")
    assert not is_refit(sif.load(copy).result)
    assert score(copy, device="cpu")["valid"] is not None


@pytest.mark.parametrize("what", ["clicks", "ratings"])
def test_no_row_of_the_test_part_is_learnt_from(what: str, tmp_path: Path):
    """The test part is another one: what is handed over and all validation figures are the same bits."""
    make: Callable[..., dict[str, str]] = pairs if what == "clicks" else ratings
    base = CLICKED if what == "clicks" else RATED
    runs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        named = make(tmp_path / name, test=30)
        if name == "two":
            head, *rows = Path(named["test"]).read_text().splitlines()
            if what == "clicks":
                every = [f"u{user:02d},i{item:02d}" for user in range(30) for item in range(24)]
                taken = {*Path(named["dataset"]).read_text().splitlines(), *rows}
                rows = [line for line in every if line not in taken][:30]
            else:
                rows = [",".join([*row.split(",")[:2], str(5.5 - float(row.split(",")[2])), "0"]) for row in rows]
            Path(named["test"]).write_text("\n".join([head, *rows]) + "\n")
        settings = {**base, **named}
        if what == "ratings":  # times would say which of the rows is which
            settings["columns.timestamp"] = ""
        runs.append(searched("clicks" if what == "clicks" else "movielens-wide", settings, tmp_path / name / "run"))
    one, two = (run.result for run in runs)
    assert one["study"]["refit"]["done"] is two["study"]["refit"]["done"] is True
    assert {name: row["valid"] for name, row in one["rows"].items()} == {
        name: row["valid"] for name, row in two["rows"].items()
    }
    assert one["metrics"]["test"] != two["metrics"]["test"]
    assert (runs[0].path / "model.safetensors").read_bytes() == (runs[1].path / "model.safetensors").read_bytes()


@pytest.mark.parametrize("what", ["clicks", "ratings"])
def test_the_members_of_a_blend_are_refit(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def half(instance: TableInstance, trees: Any) -> Mixed:
        names = [name for name, _ in trees]
        return Mixed({names[-1]: 0.5, names[0]: 0.5}, 1.0)

    def best(self: Study) -> str:
        return BLEND

    monkeypatch.setattr(sif.studies.blend, "mixed", half)
    monkeypatch.setattr(Study, "winner", best)
    make: Callable[..., dict[str, str]] = pairs if what == "clicks" else ratings
    base, recipe = (CLICKED, "clicks") if what == "clicks" else (RATED | {"study.budget": "12trials"}, "movielens-wide")
    settings = base | make(tmp_path, test=40)
    run = searched(recipe, settings, tmp_path / "run")
    row, both = run.result["rows"][BLEND], opened(recipe, settings).on_both()
    assert is_refit(run.result)
    tree = load_tree(run.path / "model.safetensors")
    assert len(tree["members"]) == 2
    for member in tree["members"]:
        assert member["counts"].tolist() == both.final_task.counts().tolist()
    assert row["test"] == pytest.approx(both.evaluate(both.load_model(RunDirectory.open(run.path)), "test"))
    assert score(run.path, device="cpu")["test"] == pytest.approx(row["test"])


def test_it_is_said_on_the_terminal(tmp_path: Path):
    data = clicks(tmp_path / "m.csv")
    out = tmp_path / "run"
    words = ["search", str(data), "--recipe", "clicks", "--budget", "5trials", "--refit", "--device", "cpu"]
    done = CliRunner().invoke(app, [*words, "--out", str(out), *sets(SMALL)])
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    assert "refit on training and validation part: all models were trained once more, on " in told
    assert sif.load(out).result["study"]["refit"]["done"] is True


def test_where_there_is_no_time_or_the_loss_diverges_models_stay_as_chosen_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = CLICKED | pairs(tmp_path, test=40) | {"study.budget": "6trials"}

    def diverges(*given: Any, **more: Any) -> Any:
        raise SearchError("the loss stopped being finite")

    with monkeypatch.context() as patched:
        patched.setattr(sif.studies.refit, "train_genotype", diverges)
        run = searched("clicks", settings, tmp_path / "diverged")
    assert run.result["study"]["refit"]["why_not"] == "the loss stopped being finite"
    assert not any(row["refit"] for row in run.result["rows"].values())
    assert score(run.path, device="cpu")["valid"] == pytest.approx(run.result["metrics"]["valid"])
    monkeypatch.setattr(sif.studies.refit, "refit_seconds", lambda study, rivals: 1e9)
    run = searched("clicks", settings | {"study.budget": "2s"}, tmp_path / "late")
    told = run.result["study"]["refit"]
    assert told["done"] is False
    assert told["why_not"].startswith("it takes about 1000000000.0 s, and ")
    lines = [json.loads(line) for line in (run.path / "trials.jsonl").read_text().splitlines()]
    assert {line["rival"] for line in lines if "rival" in line} <= set(run.result["rows"]), "without it all can stand"
    assert "no refit on training and validation part: it takes" in (run.path / "report.html").read_text()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"study.refit": True}, r"study.refit = true: a refit ends a study.*--budget 2m"),
        ({"study.refit": True, "train.average_after": 2}, r"study.refit = true: train.average_after begins by"),
        ({"study.refit": "yes"}, r"study.refit"),
    ],
)
def test_a_refit_that_cannot_be_is_refused(settings: dict[str, Any], words: str, tmp_path: Path):
    with pytest.raises(RecipeError, match=words):
        sif.search(clicks(tmp_path / "m.csv"), recipe="clicks", settings=SMALL | settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_a_refit_costs_is_told_from_what_was_trained(tmp_path: Path):
    named = CLICKED | pairs(tmp_path, test=40)
    classics: Any = Namespace(best={"ease": Namespace(own=2.0), "slim": Namespace(own=7.0)})

    def cost(
        settings: dict[str, Any],
        judged: float = 0.0,
        rivals: tuple[str, ...] = ("ease", "mf", "same"),
        added: tuple[str, ...] = (),
    ) -> float:
        trained = StudyTrial(0, Configuration({}, {}, ""), 1.0, 0.3, 8.0, 9)
        other = StudyTrial(2, Configuration({}, {}, ""), 1.0, 0.2, 1.0, 9)
        rival = StudyTrial(1, Configuration({}, {}, ""), 1.0, 0.2, 4.0, 9)
        points = {"mf": rival, "same": trained}
        trials = Namespace(instance=opened("clicks", settings), best=trained, rivals=points, kept=[trained, other])
        lines = [
            {"rival": "mf", "seconds": 1.0},
            {"rival": "mf", "seconds": 3.0},
            {"rival": "popularity", "seconds": 0.0},
        ]
        judging = Judging(valid=judged)
        blend = Namespace(done=bool(added), weights=dict.fromkeys(added, 0.5))
        more = {"classics": classics, "baselines": Namespace(done=lines), "judging": judging, "blend": blend}
        return refit_seconds(Namespace(trials=trials, **more), rivals)  # type: ignore[arg-type]

    sizes = opened("clicks", named).data.split.describe()["sizes"]
    more = 1 + sizes["valid"] / sizes["train"]
    assert cost(named) == pytest.approx((8.0 + 4.0 + 1.0 + 2.0 + 3.0) * more)
    assert cost(named | {"study.without": ["blend"]}) == pytest.approx((8.0 + 4.0 + 2.0 + 3.0) * more)
    assert cost(named, judged=2.0) == pytest.approx((6.0 + 2.0 + 0.0 + 2.0 + 3.0) * more), "none of it is judged"
    assert cost(named, rivals=("ease", "slim")) == pytest.approx(cost(named) + (7.0 - 4.0) * more), "mf does not stand"
    assert cost(named, added=("trial 0", "slim")) == pytest.approx((8.0 + 4.0 + 2.0 + 3.0) * more), "once it is known"
    assert cost(named | {"study.refit": False}) == 0


def test_rivals_for_which_there_is_no_time_are_left_out_of_the_table_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The best, popularity and what is handed over stand whatever it takes."""
    said: list[str] = []
    monkeypatch.setattr(Observer, "note", lambda self, text: said.append(text))

    def takes(study: Study, rivals: Any) -> float:
        return 10.0 * (len(rivals) - 2) if study.blend.done else 0.0

    monkeypatch.setattr(sif.studies.refit, "judged_at_the_end", takes)
    run = searched("clicks", CLICKED | pairs(tmp_path, test=40) | {"study.budget": "9s"}, tmp_path / "run")
    told = [json.loads(line) for line in (run.path / "trials.jsonl").read_text().splitlines()]
    values = {}
    for line in told:
        if "rival" in line and line["value"] is not None:
            values[line["rival"]] = max(line["value"], values.get(line["rival"], 0.0))
    stand = {name for name in values if name in run.result["rows"]}
    assert {"popularity", max(values, key=lambda name: values[name])} <= stand
    assert set(values) - stand
    (note,) = [text for text in said if text.startswith("no time is left")]
    assert {*note.partition(": ")[2].split(", ")} >= set(values) - stand - {"mf", "fism", "svd++"}


def test_a_stopped_study_is_refit_when_it_has_come_to_its_end(
    clicked: tuple[sif.Run, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole, settings = clicked
    with monkeypatch.context() as patched:
        interrupted_at(30, patched)
        with pytest.warns(UserWarning, match="interrupted after"):
            run = searched("clicks", settings, tmp_path / "run")
    assert run.result["study"]["refit"]["why_not"].startswith("the study was stopped")
    assert not is_refit(run.result)
    assert score(run.path, device="cpu")["valid"] == pytest.approx(run.result["metrics"]["valid"])
    gone_on = CliRunner().invoke(app, ["search", "--resume", str(run.path), "--device", "cpu", "--json"])
    assert gone_on.exit_code == 0, gone_on.output
    assert is_refit(json.loads((run.path / "result.json").read_text()))
    assert (run.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()


def test_an_interrupt_of_the_refit_itself_hands_over_what_was_chosen(
    clicked: tuple[sif.Run, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*given: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sif.studies.refit, "train_genotype", interrupted)
        with pytest.warns(UserWarning, match="interrupted after"):
            run = searched("clicks", clicked[1], tmp_path / "run")
    assert run.result["study"]["interrupted"] is True
    assert not is_refit(run.result)
    gone_on = CliRunner().invoke(app, ["search", "--resume", str(run.path), "--device", "cpu", "--json"])
    assert gone_on.exit_code == 0, gone_on.output
    assert (run.path / "model.safetensors").read_bytes() == (clicked[0].path / "model.safetensors").read_bytes()


def test_a_raised_budget_and_a_repetition_end_with_a_refit_too(clicked: tuple[sif.Run, dict[str, Any]], tmp_path: Path):
    run = clicked[0].save(tmp_path / "copy")
    words = ["search", "--repeat", str(run), "--out", str(tmp_path / "again"), "--device", "cpu", "--json"]
    repeated = CliRunner().invoke(app, words)
    assert repeated.exit_code == 0, repeated.output
    assert json.loads(repeated.stdout)["study"]["repeats"]["equal"] is True
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    late = {"study": {"refit": {"done": False, "why_not": "no time", "rows": 0, "seconds": 0.0}}}
    assert [refit_done(result) for result in (clicked[0].result, late, {})] == [
        ["study.refit=true"],
        ["study.refit=false"],
        [],
    ]
    first = searched("clicks", clicked[1] | {"study.budget": "6trials"}, tmp_path / "first")
    raised = ["search", "--resume", str(first.path), "--budget", "15trials", "--device", "cpu", "--json"]
    assert CliRunner().invoke(app, raised).exit_code == 0
    words = ["search", "--repeat", str(first.path), "--out", str(tmp_path / "more"), "--device", "cpu", "--json"]
    assert CliRunner().invoke(app, words).exit_code == 0
    found = [tmp_path / "more", first.path]  # a raised budget tries in another order than one given at once
    one, two = (json.loads((each / "result.json").read_text()) for each in found)
    assert (one["study"]["budget"], is_refit(one), is_refit(two)) == ("15trials", True, True)
    assert (found[0] / "model.safetensors").read_bytes() == (found[1] / "model.safetensors").read_bytes()
    now, then = one["rows"], two["rows"]
    assert {name: row["test"] for name, row in now.items()} == {name: row["test"] for name, row in then.items()}

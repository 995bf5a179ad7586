"""A study that is stopped, goes on, has its budget raised, and is repeated."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sif_samples import TINY, lines_of, sets, write_ratings
from test_sif_ranking_run import SMALL, clicks
from typer.testing import CliRunner, Result

import sif
from nasp_core.loop import Observer
from sif.cli import app
from sif.problems import open_recipe
from sif.recipes import changes_of, load_recipe
from sif.recipes.limit import Limit
from sif.run_directory import RunDirectory
from sif.studies import conduct
from sif.studies.bought import priced
from sif.studies.classics import CLASSICS
from sif.studies.steps import Steps, differing
from sif.studies.trials import Until

STUDY: dict[str, Any] = SMALL | {"train.epochs": 9, "baselines.names": ["popularity"], "train.batch_size": 64}
CLOCK = {"seconds", "at"}


def search(folder: Path, name: str, budget: str, **settings: Any) -> sif.Run:
    table = folder / "m.csv"
    given = {**STUDY, **settings, "dataset": str(table if table.is_file() else clicks(table))}
    return sif.search(recipe="clicks", settings=given, budget=budget, out=folder / name, device="cpu")


def command(*words: Any) -> Result:
    return CliRunner().invoke(app, ["search", *map(str, words), "--device", "cpu"])


def told(run: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in CLOCK} for line in lines_of(run / "trials.jsonl")]


def result(run: Path) -> dict[str, Any]:
    return json.loads((run / "result.json").read_text())  # type: ignore[no-any-return]


def bits(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in ("model.safetensors", "genotype.json")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of twelve trainings."""
    return search(tmp_path_factory.mktemp("whole"), "run", "12trials").path


def interrupted_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter(range(1, 10**6))
    plainly = Until.stepped

    def stepped(self: Until) -> None:
        if next(steps) == step:
            raise KeyboardInterrupt
        plainly(self)

    monkeypatch.setattr(Until, "stepped", stepped)


def test_an_interrupt_ends_with_the_best_so_far_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path
):
    interrupted_at(30, monkeypatch)
    with pytest.warns(UserWarning, match=r"interrupted after \d+ trainings and \d+ of rivals, of a budget of 12trials"):
        run = search(tmp_path, "run", "12trials")
    first = told(run.path)
    assert run.result["study"]["interrupted"] is True
    assert 1 <= run.result["study"]["trials"] < result(whole)["study"]["trials"]
    assert len(run.recommend("u01", k=3)) == 3
    assert run.result["metrics"]["test"] is not None
    gone_on = command("--resume", run.path, "--json")
    assert gone_on.exit_code == 0, gone_on.output
    assert (told(run.path), bits(run.path)) == (told(whole), bits(whole))
    assert told(run.path)[: len(first)] == first
    now = result(run.path)
    assert now["study"]["interrupted"] is False
    assert now["test_reads"] == run.result["test_reads"] + result(whole)["test_reads"], "it was read twice"


def test_an_interrupt_before_any_model_leaves_what_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path
):
    interrupted_at(1, monkeypatch)
    stopped = command(
        "--recipe",
        "clicks",
        clicks(tmp_path / "m.csv"),
        *sets(STUDY),
        "--budget",
        "12trials",
        "--out",
        tmp_path / "run",
    )
    assert stopped.exit_code == 130
    assert "there is no model yet" in stopped.stderr
    again = stopped.stderr.split("go on with: sif search ")[1].split("\n")[0]
    assert not (tmp_path / "run" / "result.json").exists()
    assert command(*again.split()).exit_code == 0
    assert bits(tmp_path / "run") == bits(whole)


def test_a_second_interrupt_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    interrupted_at(30, monkeypatch)
    monkeypatch.setattr("sif.studies.search.conclude", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    said = list[str]()
    watching = Observer()
    monkeypatch.setattr(watching, "note", said.append)
    settings = {**STUDY, "dataset": str(clicks(tmp_path / "m.csv")), "study.budget": "12trials"}
    instance = open_recipe(load_recipe("clicks", changes_of(settings)), device="cpu")
    with pytest.raises(KeyboardInterrupt):
        conduct(instance, RunDirectory.create(tmp_path / "run", "run"), progress=watching)
    assert said[-1] == "stopping: the best so far is handed over; Ctrl-C again ends at once"
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize(("first", "then"), [("6trials", "12trials"), ("1s", "2s"), ("6trials", "1m")])
def test_a_budget_is_raised_later(tmp_path: Path, first: str, then: str, monkeypatch: pytest.MonkeyPatch):
    if then == "1m":  # of which it shall not use all
        monkeypatch.setattr("sif.studies.study.Study._open", lambda study: study._used < 9)
    path = search(tmp_path, "run", first).path
    before, old = told(path), result(path)
    raised = command("--resume", path, "--budget", then)
    assert raised.exit_code == 0, raised.output
    assert f"budget {then}: goes on after " in raised.stderr
    now = result(path)
    assert (now["study"]["asked"], now["study"]["budget"]) == (then, then)
    assert f'budget = "{then}"' in (path / "recipe.toml").read_text()
    assert told(path)[: len(before)] == before, "what was trained counts"
    assert len(told(path)) > len(before)
    assert now["study"]["best"]["value"] >= old["study"]["best"]["value"]
    assert now["test_reads"] > old["test_reads"]
    assert sif.load(path).recommend("u01", k=2)


def test_a_raised_budget_is_resumed_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("one", "two"):
        search(tmp_path, name, "5trials")
    assert command("--resume", tmp_path / "one", "--budget", "11trials").exit_code == 0
    with monkeypatch.context() as patched:
        interrupted_at(20, patched)
        stopped = command("--resume", tmp_path / "two", "--budget", "11trials")
    assert stopped.exit_code == 0
    assert "interrupted after" in stopped.stdout
    assert result(tmp_path / "two")["study"]["interrupted"] is True
    assert command("--resume", tmp_path / "two").exit_code == 0
    assert told(tmp_path / "one") == told(tmp_path / "two")
    assert bits(tmp_path / "one") == bits(tmp_path / "two")


def test_a_budget_that_is_spent_is_refused_and_nothing_is_written(whole: Path):
    before = {path: path.read_bytes() for path in whole.iterdir() if path.is_file()}
    refused = command("--resume", whole, "--budget", "3trials")
    assert refused.exit_code == 2
    assert "--budget 3trials is no more than run" in refused.stderr
    assert "(12trials)" in refused.stderr
    assert f"sif search --resume {whole} --budget 24trials" in refused.stderr
    assert {path: path.read_bytes() for path in whole.iterdir() if path.is_file()} == before
    shown = command("--resume", whole, "--budget", "12trials")
    assert shown.exit_code == 0, "the same budget: there is nothing to do"
    assert {path: path.read_bytes() for path in whole.iterdir() if path.is_file()} == before


def test_a_study_without_its_journal_is_served_and_cannot_go_on(tmp_path: Path, whole: Path):
    one = sif.load(whole).save(tmp_path / "one")
    shutil.rmtree(one / "checkpoint")
    assert command("--resume", one).exit_code == 0
    refused = command("--resume", one, "--budget", "24trials")
    assert refused.exit_code == 2
    again = refused.stderr.split("search again with: sif search ")[1].split()
    assert again == ["--recipe", f"{one}/recipe.toml", "--budget", "24trials"]
    assert load_recipe(again[1], budget=again[3]).study.budget == "24trials"


def test_what_has_no_study_has_no_budget_to_raise(tmp_path: Path):
    path = tmp_path / "run"
    RunDirectory.create(path, "x").write_recipe(
        load_recipe("clicks", ['dataset="x.csv"', 'study.budget="none"']).model_dump()
    )
    refused = command("--resume", path, "--budget", "2m")
    assert refused.exit_code == 2
    assert "is no study, and has no budget to raise" in refused.stderr


def test_a_study_in_seconds_is_repeated_to_the_bit(tmp_path: Path):
    one = search(tmp_path, "one", "2s").path
    assert command("--repeat", one, "--out", tmp_path / "two", "--json").exit_code == 0
    assert told(tmp_path / "two") == told(one)
    assert bits(tmp_path / "two") == bits(one)
    assert result(tmp_path / "two")["study"]["repeats"] == {
        "trainings": len(told(one)),
        "equal": True,
        "differs": None,
    }


def test_a_repetition_that_is_stopped_goes_on_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path):
    with monkeypatch.context() as patched:
        interrupted_at(20, patched)
        stopped = command("--repeat", whole, "--out", tmp_path / "run")
    assert stopped.exit_code == 1
    assert "trainings are repeated so far" in stopped.stdout
    gone_on = command("--resume", tmp_path / "run")
    assert gone_on.exit_code == 0, gone_on.output
    assert f"equal: all {len(told(whole))} trainings" in gone_on.stdout
    assert bits(tmp_path / "run") == bits(whole)


def test_a_repetition_names_the_first_training_that_differs(tmp_path: Path, whole: Path):
    one = sif.load(whole).save(tmp_path / "one")
    lines = lines_of(one / "trials.jsonl")
    at = next(number for number, line in enumerate(lines) if line.get("trial") == 1)
    lines[at]["value"] = 0.25
    (one / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    differs = command("--repeat", one, "--out", tmp_path / "two")
    assert differs.exit_code == 1
    assert f"training {at + 1} (trial 1) has the value" in differs.stdout
    assert "and had 0.25" in differs.stdout


def test_both_goals_are_raised_and_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = {**TINY, "dataset": str(write_ratings(tmp_path / "m.csv"))}
    whole = tmp_path / "whole"
    sif.search(recipe="movielens-wide", settings=settings, budget="6trials", out=whole, device="cpu")
    before = {path: told(path) for path in (whole, whole / "ranking")}
    refused = command("--resume", whole, "--budget", "5trials")
    assert "has spent already (6trials)" in refused.stderr
    raised = command("--resume", whole, "--budget", "10trials")
    assert raised.exit_code == 0, raised.output
    for path, lines in before.items():
        assert told(path)[: len(lines)] == lines
        assert len(told(path)) > len(lines)
    with monkeypatch.context() as patched:
        interrupted_at(2, patched)
        assert command("--repeat", whole, "--out", tmp_path / "two").exit_code == 130, "before it came to the lists"
    again = command("--resume", tmp_path / "two")
    assert again.exit_code == 0, again.output
    for name in ("", "ranking"):
        assert told(tmp_path / "two" / name) == told(whole / name)
        assert bits(tmp_path / "two" / name) == bits(whole / name)


def test_what_cannot_be_repeated_is_refused(tmp_path: Path, whole: Path):
    one = sif.load(whole).save(tmp_path / "one")
    assert "own recipe and data" in command("--repeat", one, "--budget", "2m").stderr
    lines = (one / "trials.jsonl").read_text().splitlines()
    (one / "trials.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    assert "does not hold the" in command("--repeat", one).stderr
    (one / "trials.jsonl").write_text("\n".join(lines) + "\n")
    recipe = (one / "recipe.toml").read_text()
    other = clicks(tmp_path / "other.csv", seed=3)
    (one / "recipe.toml").write_text(recipe.replace(load_recipe(one / "recipe.toml").dataset, str(other)))
    refused = command("--repeat", one, "--out", tmp_path / "two")
    assert (refused.exit_code, (tmp_path / "two").exists()) == (2, False)
    assert "is not what run" in refused.stderr
    told = result(one)
    (one / "result.json").write_text(json.dumps(told | {"study": None}))
    assert "is no study" in command("--repeat", one).stderr


def test_steps_of_the_clock_are_followed_and_those_of_a_number_decided_again(tmp_path: Path):
    step = {"choices": {}, "settings": {}, "fidelity": 1.0}
    for limit, past in ((Limit(seconds=60), 2), (Limit(trials=9), 0)):
        folder = tmp_path / str(limit)
        folder.mkdir()
        first = Steps(folder, limit)
        first.take(step, 0.5)
        first.take({"rival": "ease", "settings": {"penalty": 1.0}}, 1.0)
        again = Steps(folder, limit)
        assert len(again.past) == past
        assert len(Steps(folder, Limit(trials=40)).past) == 2, "before a mark all is followed"
    with (tmp_path / "1m" / "steps.jsonl").open("a") as file:
        file.write('{"choices": {')  # what no write of ours leaves
    assert Steps(tmp_path / "1m", Limit(seconds=60)).past == []


def test_the_first_difference_is_found():
    then = [{"trial": 0, "value": 1.0}, {"rival": "ease", "value": 2.0}]
    assert differing(then, then) == ""
    assert differing(then, [then[0], then[1] | {"value": 2.5}]) == "training 2 (ease) has the value 2.5, and had 2.0"
    assert differing(then, then[:1]) == "only 1 of 2 trainings are repeated so far"


def test_one_budget_is_given(tmp_path: Path):
    words = (clicks(tmp_path / "m.csv"), "--recipe", "clicks", "--budget", "2m", "--set", "study.budget=3m")
    assert "two budgets, --budget 2m and --set study.budget=3m; give one" in command(*words).stderr


def test_a_budget_says_beforehand_what_it_buys(tmp_path: Path):
    words = ["--recipe", "clicks", clicks(tmp_path / "m.csv"), *sets(STUDY)]
    said = command(*words, "--budget", "2s", "--out", tmp_path / "run")
    assert said.exit_code == 0, said.output
    first = next(line for line in said.stderr.splitlines() if line.startswith("budget"))
    assert first.startswith("budget 2s: about ")
    assert f"trainings, rivals {', '.join(CLASSICS)[:20]}" in first
    assert "a full training takes " in said.stderr
    assert priced(1900.0, 30.0) == "a full training takes about 1,900 s, more than what is left: shorter ones must do"
    assert priced(3.0, 30.0) == "a full training takes 3 s: about 24 trainings more"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT of a console")
def test_ctrl_c_of_a_process(tmp_path: Path):
    words = [sys.executable, "-m", "sif", "search", str(clicks(tmp_path / "m.csv")), "--recipe", "clicks", *sets(STUDY)]
    words += ["--budget", "5m", "--out", str(tmp_path / "run"), "--device", "cpu"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("run/checkpoint/trial-1*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "stopping: the best so far is handed over" in errors
    assert "interrupted after" in out
    assert result(tmp_path / "run")["study"]["interrupted"] is True

"""What it takes to judge all users: timed on some, kept back for the end, said where no budget holds it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from test_sif_ranking_run import SMALL, clicks

import sif
from nasp_core.loop import Observer
from sif.problems import open_recipe
from sif.recipes import changes_of, load_recipe
from sif.rivals.known import METHODS
from sif.run_directory import RunDirectory
from sif.runs.stages import Stages
from sif.studies import Limit, judging
from sif.studies.classics import Classics
from sif.studies.judging import Judging, judging_of
from sif.studies.portfolio import entries_of
from sif.studies.proposals import portfolio
from sif.studies.refit import kept_back
from sif.studies.study import Study, _Job
from sif.studies.trials import StudyTrial


def opened(folder: Path, **changes: Any) -> Any:
    settings = {**SMALL, **changes, "dataset": str(clicks(folder / "m.csv"))}
    return open_recipe(load_recipe("clicks", changes_of(settings)), device="cpu")


def stages_of(folder: Path) -> Stages:
    return Stages(RunDirectory.create(folder / "run", "run"), Observer())


def judged(task: Any) -> int:
    """How many users a task judges."""
    known = getattr(task, "_judged", None)
    return int(np.count_nonzero(np.diff((task.positives("valid") if known is None else known).indptr)))


def test_it_is_told_from_a_few_users_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By a clock on which an evaluation takes half a second, and a tenth of one for each user."""
    instance, clock = opened(tmp_path), [0.0]

    def evaluate(network: Any, task: Any, **given: Any) -> None:
        clock[0] += 0.5 + 0.1 * judged(task)

    first = portfolio(instance, entries_of("ranking"))[0]
    assert judging_of(instance.changed(first.settings), first) == Judging(), "few users take next to nothing"
    for name, number in (("_MANY", 15), ("_FEW", 4), ("_MORE", 12)):
        monkeypatch.setattr(judging, name, number)
    monkeypatch.setattr(judging, "evaluate", evaluate)
    monkeypatch.setattr(judging, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    found = judging_of(instance.changed(first.settings), first)
    user, split = instance.data.interactions.user, instance.data.split
    users = [len({*user[part].tolist()}) for part in (split.valid, split.test)]
    assert found.users == users[0] > 15
    assert (found.valid, found.test) == pytest.approx((0.5 + 0.1 * users[0], 0.5 + 0.1 * users[1]))


def test_a_study_keeps_back_what_judging_its_rows_takes(tmp_path: Path):
    """The find, the blend and two classics on the test part; the blend on validation too."""
    instance, stages = opened(tmp_path, **{"baselines.names": ["mf"]}), stages_of(tmp_path)
    study = Study(instance, stages, Limit(seconds=100))
    assert kept_back(study) == pytest.approx(6.0)
    study.__dict__["judging"] = Judging(valid=3.0, test=2.0, users=200_000)
    assert kept_back(study) == pytest.approx(6.0 + 2 * 2.0 + 3.0)
    assert study.classics is not None
    for name in ("popularity", "ease"):
        study.classics.train(name, METHODS[name].grid[0])
    study.classics.best["popularity"].judged, study.classics.best["ease"].judged = 1.5, 2.4
    (point,) = study._points()
    study.trials.done.append(StudyTrial(0, point, 1.0, 0.5, 12.0, 9))
    assert kept_back(study) == pytest.approx(6.0 + 2 * 2.0 + 3.0 + (1.5 + 2.4) * (2 * 2 / 3 + 1)), (
        "a point need not stand"
    )


def test_what_a_blend_takes_is_what_its_members_take(tmp_path: Path):
    study = Study(opened(tmp_path), stages_of(tmp_path), Limit(seconds=100))
    study.__dict__["judging"] = Judging(valid=3.0, test=2.0, users=200_000)
    assert study.classics is not None
    for name in ("popularity", "ease"):
        study.classics.train(name, METHODS[name].grid[0])
    study.classics.best["popularity"].judged, study.classics.best["ease"].judged = 1.5, 2.4
    study.blend.done, study.blend.weights = True, {"trial 0": 0.5, "ease": 0.5}
    rows = ("popularity", "ease")
    assert judging.judged_at_the_end(study, rows) == pytest.approx(2 * 2.0 + (1.5 + 2.4 + 2.4) * 2 / 3)
    study.blend.weights = {}
    assert judging.judged_at_the_end(study, rows) == pytest.approx(2 * 2.0 + (1.5 + 2.4) * 2 / 3)


def test_a_short_training_is_judged_on_all_users_too(tmp_path: Path):
    study = Study(opened(tmp_path), stages_of(tmp_path), Limit(seconds=100))
    study.__dict__["judging"] = Judging(valid=3.0, test=2.0, users=200_000)
    point = portfolio(study.instance, entries_of("ranking"))[0]
    study.trials.done.append(StudyTrial(0, point, 1 / 3, 0.5, 9.0, 3))  # 6 s of training, 3 s of judging
    shares = {share: study._cost(_Job(point, rung)) for rung, share in enumerate(study.rungs.shares)}
    assert shares == pytest.approx({1 / 9: 2.0 + 3.0, 1 / 3: 6.0 + 3.0, 1.0: 18.0 + 3.0})


def test_a_budget_that_holds_no_evaluation_is_told_beforehand_and_ends_with_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    monkeypatch.setattr(Study, "judging", Judging(valid=30.0, test=20.0, users=200_000))
    monkeypatch.setattr(Observer, "note", lambda self, text: said.append(text))
    run = sif.search(clicks(tmp_path / "m.csv"), recipe="clicks", settings=SMALL, budget="20s", device="cpu")
    (told,) = [text for text in said if "to judge one model" in text]
    assert "on all 200,000 users takes about 50 s" in told
    assert told.endswith("this run will take longer than 20s; enough is --budget 600s")
    assert run.result["study"]["trials"] == 1, "nothing but what makes a model"
    assert Judging(30.0, 20.0, 200_000).too_long(Limit.parse("600s", 1)) == ()


def test_whether_a_rival_can_be_handed_over_is_known_without_training_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    instance, stages = opened(tmp_path), stages_of(tmp_path)
    first = Classics(instance.final_task, stages, 0)
    points = [(name, METHODS[name].grid[0]) for name in ("popularity", "ease", "itemknn")]
    for name, settings in points:
        first.train(name, settings)
    after_a_kill = Classics(instance.final_task, stages, 0)
    for name, settings in points:
        after_a_kill.train(name, settings)
    monkeypatch.setattr(Classics, "model", lambda self, name: pytest.fail(f"{name} is trained again"))
    assert [after_a_kill.served(name) for name, _ in points] == [True, True, True]


def test_rivals_have_more_of_the_time_where_no_network_can_be_trained_in_full(tmp_path: Path):
    study = Study(opened(tmp_path), stages_of(tmp_path), Limit(seconds=100))
    point = portfolio(study.instance, entries_of("ranking"))[0]
    assert study.classics is not None
    study._carried = 40.0  # are gone

    def due(full: float, spent: float) -> bool:
        study.trials.done[:] = [StudyTrial(0, point, 1 / 9, 0.5, full / 9, 3)]
        study.classics.seconds = spent  # type: ignore[union-attr]
        return study._classics_due()

    assert [due(20.0, spent) for spent in (10.0, 25.0, 50.0)] == [True, False, False], (
        "half of what is gone, 30 at most"
    )
    assert [due(900.0, spent) for spent in (10.0, 50.0, 65.0)] == [True, True, False]
    study.trials.done.append(StudyTrial(1, point, 1.0, 0.6, 900.0, 9))
    study.classics.seconds = 50.0
    assert not study._classics_due(), "there is one"

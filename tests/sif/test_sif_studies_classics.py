"""Which rival a study trains next: the cheap and strong first, the dear when others had as much."""

from argparse import Namespace
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_sif_compare_methods import groups
from test_sif_handed import instance_of

from sif.rivals.known import METHODS
from sif.rivals.method import Fitted, Method
from sif.studies import classics as module
from sif.studies.classics import CLASSICS, Classics
from sif.studies.leading import ordered_rivals, required_rivals


def classics_of(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, costs: dict[str, float]) -> Classics:
    """Rivals of equal worth, each with three points, whose trainings take what they are expected to take."""
    task = instance_of(tmp_path).final_task
    scores = torch.rand(task.sizes, generator=torch.Generator().manual_seed(0))
    grid = tuple({"x": value} for value in (1.0, 2.0, 0.5))
    made = {
        name: Method(lambda *_: Fitted(lambda users: scores[users], 0), grid, cost=lambda table, cost=cost: cost)
        for name, cost in costs.items()
    }
    monkeypatch.setattr(module, "CLASSICS", tuple(costs))
    monkeypatch.setattr(module, "METHODS", made)

    def once(key: str, compute: Any, *_: Any) -> Any:
        return compute() | {"seconds": costs[key.split()[0]]}

    return Classics(task, Namespace(journal=Namespace(once=once)), 0)  # type: ignore[arg-type]


def order(classics: Classics, seconds: float | None, most: int = 99) -> list[str]:
    """Return the rivals in the order in which a budget trains them, a share of 30 % of it at most."""
    left, done = seconds, list[str]()
    while len(done) < most and (seconds is None or classics.seconds < 0.3 * seconds):
        due = classics.due(left)
        if due is None:
            break
        classics.train(*due)
        done.append(due[0])
        left = None if seconds is None else seconds - classics.seconds
    return done


def test_the_cheap_come_first_and_the_dear_when_others_had_as_much(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    classics = classics_of(tmp_path, monkeypatch, {"strong": 0.1, "dear": 6.0, "cheap": 0.1, "slow": 1.0})
    done = order(classics, 100.0)
    assert done[:4] == ["strong", "cheap", "strong", "cheap"]
    assert done.index("slow") > 4
    assert done.index("dear") > done.index("slow")


def test_a_small_budget_tunes_what_is_cheap_and_buys_no_first_point_of_each(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    costs = {"strong": 0.2, **{f"dear{number}": 2.5 for number in range(9)}}
    done = order(classics_of(tmp_path, monkeypatch, costs), 20.0)
    assert done.count("strong") == 3
    assert done[:3] == ["strong"] * 3
    assert sum(name.startswith("dear") for name in done) <= 3  # of nine: the share ends


def test_who_leads_is_tuned_most(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    classics = classics_of(tmp_path, monkeypatch, {"good": 1.0, "best": 1.0})
    order(classics, 1000.0, 2)
    valid = classics.best["good"].valid
    classics.best["good"].valid = {name: 0.9 * value for name, value in valid.items()}
    assert order(classics, 1000.0, 2) == ["best", "good"]  # 1.9 times its second, against two


def test_what_would_take_too_much_of_what_is_left_is_never_begun(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    done = order(classics_of(tmp_path, monkeypatch, {"strong": 0.1, "dear": 16.0}), 100.0)
    assert set(done) == {"strong"}


def test_without_a_clock_each_has_its_first_point_in_the_order_of_the_list(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    costs = {"strong": 5.0, "dear": 99.0, "cheap": 0.1}
    done = order(classics_of(tmp_path, monkeypatch, costs), None, 6)
    assert done[:3] == list(costs)
    assert sorted(done[3:]) == sorted(costs)


@pytest.mark.parametrize("name", [name for name in CLASSICS if not name.startswith("popularity")])
def test_a_larger_table_is_expected_to_take_longer(name: str):
    small, large = (METHODS[name].cost(groups(users, items)) for users, items in ((60, 40), (240, 160)))
    assert 0 < small < large


def test_a_larger_point_is_expected_to_take_longer():
    """Four times the seconds for twice the factors; a filter's singular vectors many times those of none."""
    assert module._dearer({"factors": 128, "iterations": 16}, {"factors": 64, "iterations": 16}) == 4
    assert module._dearer({"factors": 32, "iterations": 16}, {"factors": 64, "iterations": 16}) == 1
    assert module._dearer({"ideal": 0.3, "rank": 384}, {"ideal": 0.0, "rank": 384}) > 4
    assert module._dearer({"penalty": 500.0}, {"penalty": 250.0}) == 1


@pytest.mark.parametrize("name", CLASSICS)
def test_every_point_of_a_grid_can_be_reached_in_single_steps(name: str):
    grid = list(METHODS[name].grid)
    places, reached, left = module._places(grid), [grid[0]], grid[1:]
    while near := [point for point in left if any(module._steps(point, each, places) <= 1 for each in reached[-400:])]:
        reached += near
        left = [point for point in left if point not in near]
    assert left == []


def test_a_value_that_the_grid_no_longer_has_counts_as_the_nearest():
    assert module._steps({"penalty": 480.0}, {"penalty": 500.0}, {"penalty": [250.0, 500.0, 1000.0]}) == 0


def test_a_rival_that_fails_has_no_value_and_ends_nothing(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    classics = classics_of(tmp_path, monkeypatch, {"good": 1.0, "bad": 1.0})
    said: list[str] = []
    classics._stages.note = said.append

    def breaks(*given: Any) -> Any:
        raise RuntimeError("the factors are not positive definite")

    made: Any = module.METHODS
    made["bad"] = replace(made["bad"], fit=breaks)
    classics.train("bad", made["bad"].grid[0])
    assert classics.done[-1]["value"] is None
    assert said == [f"rival bad has no value at {dict(made['bad'].grid[0])}: the factors are not positive definite"]
    assert set(order(classics, 10.0, 3)) == {"good"}, "it is not tried at other points"
    assert set(classics.best) == {"good"}


def test_points_of_a_rival_are_told_apart_on_few_users_and_the_leading_ones_judged_on_all(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    """A point that is worse on the few costs their judging alone; its value says on how many users it was judged."""
    monkeypatch.setattr(module, "_FEW", 4)
    classics = classics_of(tmp_path, monkeypatch, {"one": 0.1})
    judged: list[int] = []
    values = iter([(0.3, 0.35), (0.2, None), (0.4, 0.3), (0.5, 0.45)])  # on the few, on all

    def judge(part: str, table: Any, *_: Any) -> dict[str, float]:
        users = int((table.valid.sum(axis=1) > 0).sum())
        if users <= 4:
            judge.now = next(values)  # type: ignore[attr-defined]
        judged.append(users)
        value = judge.now[users > 4]  # type: ignore[attr-defined]
        return {classics._task.metric: value}

    monkeypatch.setattr(module, "judged_on", judge)
    for x, users, best in ((1.0, [4, 20], 0.35), (2.0, [4], 0.35), (0.5, [4, 20], 0.35), (3.0, [4, 20], 0.45)):
        judged.clear()
        classics.train("one", {"x": x})
        assert len(judged) == len(users)
        assert (judged[0], judged[-1] > 4) == (4, len(users) > 1)
        assert classics.best["one"].valid[classics._task.metric] == best
    assert [line["value"] for line in classics.done] == [0.35, 0.2, 0.3, 0.45]
    assert [line.get("users") for line in classics.done] == [None, 4, None, None]
    assert (classics.best["one"].settings, classics.best["one"].few) == ({"x": 3.0}, 0.5)
    assert classics.best["one"].trials == 4


def test_of_few_users_all_are_judged_at_once(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    classics = classics_of(tmp_path, monkeypatch, {"one": 0.1})
    assert classics._few is None
    classics.train("one", {"x": 1.0})
    assert classics.best["one"].few is None
    before = classics.best["one"].valid
    classics.train("one", {"x": 2.0})
    assert (classics.best["one"].settings, classics.best["one"].valid) == ({"x": 1.0}, before), "no better, all alike"


def test_a_table_cannot_be_without_popularity_the_best_and_what_is_chosen(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    names = ("popularity", "a", "b", "c", "d", "e")
    classics = classics_of(tmp_path, monkeypatch, dict.fromkeys(names, 0.1))
    metric = classics._task.metric
    for value, name in zip((0.1, 0.9, 0.8, 0.7, 0.6, 0.5), names, strict=True):
        classics.best[name] = module.Tuned({}, {metric: value}, value)
    task = Namespace(metric=metric, maximise=True)
    trials: Any = Namespace(task=task, rivals={"mf": Namespace(value=0.75), "cut": Namespace(value=None)})
    assert ordered_rivals(trials, classics) == ["a", "b", "mf", "c", "d", "e", "popularity", "cut"]
    assert required_rivals(trials, classics) == ("a", "b", "c", "popularity"), "of three a blend may be made"
    assert required_rivals(trials, classics, ("", "trial 3", "d")) == ("a", "d", "popularity")
    assert required_rivals(trials, None) == ()
    less = Namespace(
        task=Namespace(metric="rmse", maximise=False), rivals={"mf": Namespace(value=0.9), "b": Namespace(value=0.8)}
    )
    assert ordered_rivals(less, None) == ["b", "mf"]  # type: ignore[arg-type]

"""Studies: budgets, proposals, the rungs, and what is handed over."""

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sif_samples import write_ratings
from test_sif_ranking_run import SMALL, clicks

import sif
from nasp_core.evaluation import evaluate
from nasp_core.loop import Observer
from sif.errors import RecipeError
from sif.journal import Journal
from sif.problems import open_recipe
from sif.recipes import changes_of, load_recipe
from sif.recipes.problems import problem_of
from sif.run_directory import RunDirectory
from sif.runs.stages import Stages
from sif.spaces.build import small_space
from sif.studies import Configuration, Limit, price
from sif.studies.classics import CLASSICS
from sif.studies.portfolio import entries_of
from sif.studies.price import seconds_per_epoch
from sif.studies.proposals import point_entry, portfolio
from sif.studies.proposer import Proposer
from sif.studies.trials import StudyTrial, Trials, at_fidelity

STUDY: dict[str, Any] = SMALL | {
    "study.without": [],
    "study.pinned": [],
    "train.epochs": 9,
    "baselines.names": ["popularity"],
    "study.budget": "16trials",
}


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> sif.Run:
    folder = tmp_path_factory.mktemp("study")
    return sif.search(clicks(folder / "mine.csv"), recipe="clicks", settings=STUDY, out=folder / "run", device="cpu")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Any:
    recipe = load_recipe(
        "clicks", changes_of({**STUDY, "dataset": str(clicks(tmp_path_factory.mktemp("t") / "m.csv"))})
    )
    return open_recipe(recipe, device="cpu")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("90s", Limit(seconds=90)),
        ("2m", Limit(seconds=120)),
        ("2m30s", Limit(seconds=150)),
        (" 1H ", Limit(seconds=3600)),
        ("40trials", Limit(trials=40)),
        ("1 trial", Limit(trials=1)),
        ("auto", Limit(seconds=60)),
    ],
)
def test_a_budget_is_read(text: str, limit: Limit):
    assert Limit.parse(text, rows=20_000) == limit
    assert text == "auto" or Limit.parse(str(limit), rows=1) == limit


@pytest.mark.parametrize("text", ["", "0s", "0trials", "soon", "12", "2m fast", "-3s"])
def test_what_is_no_budget_is_refused(text: str):
    with pytest.raises(RecipeError, match="--budget"):
        Limit.parse(text, rows=100)


def test_a_recipe_with_no_budget_of_a_study_is_refused_before_anything_is_written(tmp_path: Path):
    settings = {**STUDY, "study.budget": "smoke"}
    with pytest.raises(RecipeError, match=r"study.budget = .smoke.: .smoke. is no budget of a study; give seconds"):
        sif.search(clicks(tmp_path / "m.csv"), recipe="clicks", settings=settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_own_budget_grows_with_the_table():
    seconds = [Limit.parse("auto", rows=rows).seconds or 0 for rows in (1_000, 5_000, 20_000, 100_000, 1_000_000)]
    assert seconds == sorted(seconds)
    assert seconds[0] == 10
    assert seconds[-1] < 900


def test_a_run_hands_over_the_best_of_all_it_trained(studied: sif.Run):
    lines = [json.loads(line) for line in (studied.path / "trials.jsonl").read_text().splitlines()]
    trials = [line for line in lines if "trial" in line]
    metric = studied.result["metric"]
    best = max(trial["value"] for trial in trials if trial["value"] is not None)
    assert studied.result["rows"]["found"]["valid"][metric] == pytest.approx(best)
    told = studied.result["study"]
    assert (told["budget"], told["trials"]) == ("16trials", len(trials))
    assert told["best"]["value"] == best
    assert {"popularity", "ease"} <= set(studied.result["rows"])
    assert {trial["by"] for trial in trials} >= {"portfolio", "supernet"}
    assert {round(trial["fidelity"], 3) for trial in trials} >= {0.111, 1.0}
    classics = sum(row["trials"] or 0 for name, row in studied.result["rows"].items() if name != "found")
    assert len(trials) + classics + 1 <= 16  # the supernet is one
    assert [line["rival"] for line in lines if line not in trials][:2] == list(CLASSICS[:2])
    assert len(lines) == len(trials) + told["rival_trials"]


def test_what_is_handed_over_is_recommended_and_trained_again(studied: sif.Run, tmp_path: Path):
    run = studied.save(tmp_path / "copy")
    assert len(sif.load(run).recommend("u1" if "u1" in map(str, ids(run)) else ids(run)[0], k=3)) == 3
    before = studied.result["metrics"]["valid"]
    told = sif.api.score(run, device="cpu")
    assert told["valid"] == pytest.approx(before)


def ids(run: Path) -> list[Any]:
    found: list[Any] = json.loads((run / "ids.json").read_text())["users"]
    return found


def test_a_table_under_other_settings_is_another_task_only_where_it_must(instance: Any):
    same = instance.changed({"space.l2": 0.5, "train.optimiser.learning_rate": 0.02})
    assert same.final_task is instance.final_task
    assert same.settings.l2 == 0.5
    assert same.training({}).optimiser.learning_rate == 0.02
    other = instance.changed({"ranking.hidden_share": 0.3})
    assert other.final_task.settings.hidden_share == 0.3
    assert other.final_task.metric == instance.final_task.metric
    assert instance.recipe.ranking.hidden_share != 0.3


def test_the_portfolio_holds_what_the_space_holds(instance: Any):
    held = portfolio(instance, entries_of("ranking"))
    assert held
    for configuration in held:
        changed = instance.changed(configuration.settings)
        assert changed.build(changed.genotype(configuration.choices)) is not None
    odd = [{"choices": {"encoding": ["id", "nowhere"], "elementwise": ["identity"]}}]
    assert portfolio(instance, odd) == []


def planted(configuration: Configuration) -> float:
    """Larger is better: products, wide and with a small penalty."""
    width = configuration.settings.get("space.embedding_dim", 64)
    return (configuration.choices["operation"][0] == "multiply") - abs(width - 32) / 32


def studied_by(proposer: Proposer, trials: list[StudyTrial], count: int) -> list[StudyTrial]:
    """Go on as a study does: each proposal on a ninth, every third in full too, on another scale."""
    while sum(trial.fidelity < 1 for trial in trials) < count:
        made = proposer.ask(trials, True, {trial.configuration.key for trial in trials})
        trials.append(StudyTrial(len(trials), made, 1 / 9, planted(made), 1.0, 1))
        if len(trials) % 3 == 0:
            trials.append(StudyTrial(len(trials), made, 1.0, planted(made) / 9 - 5, 1.0, 9))
    return trials


def test_proposals_depend_on_seed_and_trials_alone(instance: Any):
    proposer = Proposer(instance, instance.problem.settings_space)
    first = proposer.ask([], True, set())
    assert proposer.ask([], True, set()).key == first.key
    assert proposer.ask([], True, {first.key}).key != first.key
    assert Configuration.of(first.plain()) == first
    whole = studied_by(proposer, [], 18)
    again = [replace(trial, configuration=Configuration.of(trial.configuration.plain())) for trial in whole[:13]]
    told = Proposer(instance, instance.problem.settings_space)  # of a study that was killed and goes on
    next_one = proposer.ask(whole, True, set())
    studied_by(told, again, 18)
    assert [trial.configuration.key for trial in again] == [trial.configuration.key for trial in whole]
    assert told.ask(again, True, set()).key == next_one.key


def test_proposals_learn_what_does_well_of_short_and_whole_trainings(instance: Any):
    trials = studied_by(Proposer(instance, instance.problem.settings_space), [], 22)
    ends = [[planted(trial.configuration) for trial in part] for part in (trials[:10], trials[-10:])]
    assert sum(ends[1]) / 10 > max(0.5, 1 + sum(ends[0]) / 10)
    assert len({trial.configuration.key for trial in trials if trial.fidelity < 1}) == sum(
        trial.fidelity < 1 for trial in trials
    )


def test_proposals_outlive_failures_and_settings_beyond_their_ranges(instance: Any):
    proposer = Proposer(instance, instance.problem.settings_space)
    trials = studied_by(proposer, [], 6)
    for value, epochs in ((None, 2), (None, 0), (float("-inf"), 1)) * 3:  # it diverged; the time was up; it is broken
        odd = Configuration(trials[0].configuration.choices, {"space.l2": 10.0 + len(trials), "space.embedding_dim": 5})
        trials.append(StudyTrial(len(trials), odd, 1 / 9, value, 1.0, epochs))
    made = proposer.ask(trials, True, set())
    assert made.settings["space.l2"] <= 0.7
    assert instance.changed(made.settings).build(instance.changed(made.settings).genotype(made.choices)) is not None


def test_a_fidelity_is_a_share_of_the_epochs(instance: Any):
    whole = instance.training({})
    assert at_fidelity(whole, 1.0) is whole
    short = at_fidelity(whole, 1 / 9)
    assert short.epochs == 1
    assert 0 < short.evaluate_every <= short.epochs


@pytest.mark.parametrize("name", ["ratings-operations", "movielens-tensor"])
def test_a_space_without_history_is_searched_in_the_settings_that_it_has(name: str):
    recipe = load_recipe(name)
    opened: Any = SimpleNamespace(recipe=recipe)  # all that a proposer reads
    proposer = Proposer(opened, problem_of(recipe).settings_space)
    first = proposer.ask([], False, set())
    assert "space.history_power" not in first.settings
    assert {"space.l2", "train.optimiser.learning_rate"} <= set(first.settings)
    changed = recipe.changed(first.settings)
    assert small_space(changed.space.name, changed.settings()).groups


def test_points_of_one_function_stand_in_a_space_of_two(tmp_path: Path):
    settings = {**STUDY, "dataset": str(clicks(tmp_path / "m.csv")), "space.branches": 2}
    two = open_recipe(load_recipe("clicks", changes_of(settings)), device="cpu")
    held = portfolio(two, [point_entry("biased-mf"), point_entry("neumf"), *entries_of("ranking")])
    assert held[0].settings == {"space.branches": 1}
    assert two.changed(held[0].settings).build(two.changed(held[0].settings).genotype(held[0].choices)) is not None
    assert all(each.choices["predictor"] != ("linear", "mlp") for each in held), "mlp is not offered"
    trials = [StudyTrial(0, held[0], 1.0, 0.5, 1.0, 9)]
    proposer = Proposer(two, two.problem.settings_space)
    for number in range(1, 13):
        made = proposer.ask(trials, True, set())
        trials.append(StudyTrial(number, made, 1 / 9, 0.1 * number, 1.0, 1))
        changed = two.changed(made.settings)
        assert changed.build(changed.genotype(made.choices)) is not None


def test_a_rival_that_wins_on_validation_is_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The table's best row by validation is what the run recommends with, whoever trained it."""
    csv = clicks(tmp_path / "mine.csv")
    weak = {"space.l2": 0.7, "train.epochs": 1, "study.budget": "6trials", "train.optimiser.learning_rate": 1e-6}
    run = sif.search(csv, recipe="clicks", settings={**STUDY, **weak}, out=tmp_path / "run", device="cpu")
    rows, metric = run.result["rows"], run.result["metric"]
    best = max(rows, key=lambda name: rows[name]["valid"][metric])
    assert best != "found"
    assert run.result["handed"]["name"] == best
    assert run.result["metrics"]["test"] == rows[best]["test"]
    assert sif.api.score(tmp_path / "run", device="cpu")["valid"][metric] == pytest.approx(rows[best]["valid"][metric])
    assert run.recommend(ids(tmp_path / "run")[0], k=3)
    assert sif.load(tmp_path / "run").formula == run.result["handed"]["formula"]


def test_seconds_are_kept_and_never_end_without_a_model(tmp_path: Path):
    settings = {**STUDY, "study.budget": "1s"}
    run = sif.search(clicks(tmp_path / "m.csv"), recipe="clicks", settings=settings, out=tmp_path / "run", device="cpu")
    assert run.result["study"]["budget"] == "1s"
    assert run.recommend(ids(tmp_path / "run")[0], k=2)


def test_an_epoch_is_priced_by_three_steps_and_a_validation(instance: Any, monkeypatch: pytest.MonkeyPatch):
    """By a clock that ticks once when asked: a step is a second, and of a validation an epoch has its share."""
    ticks = count()
    monkeypatch.setattr("sif.studies.price.time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    first = portfolio(instance, entries_of("ranking"))[0]
    instance = instance.changed(first.settings)
    genotype = instance.genotype(first.choices)
    training = instance.training({})
    steps = len(instance.final_task.stream("train", training.batch_size, 0))
    every = training.stretched(steps).evaluate_every
    assert seconds_per_epoch(instance, genotype) == steps + (1 / every if every else 0)
    assert next(ticks) == 4 + (2 if every else 0)


def test_a_training_is_watched_on_some_users_and_valued_on_all(
    instance: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sif.studies.trials.watched", lambda task, users: task.sampled(3))
    trials = Trials(instance, Stages(RunDirectory.create(tmp_path / "run", "run"), Observer()))
    trial = trials.run(portfolio(instance, entries_of("ranking"))[0], 1 / 3)
    changed, genotype, trained = trials.model()
    network = changed.build(genotype)
    network.load_state_dict(trained["weights"])
    assert trained["valid"] == evaluate(network, instance.final_task)
    assert trial.value == trained["valid"][instance.final_task.metric]
    assert all(record["valid"] != trained["valid"] for record in trained["trace"] if "valid" in record)


def test_what_is_trained_first_leaves_time_for_more(instance: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    held = portfolio(instance, entries_of("ranking"))[:3]
    costs = iter([9.0, 2.0, 5.0, 9.0, 8.0, 5.0])
    monkeypatch.setattr(price, "seconds_per_epoch", lambda *given: next(costs))
    trials = Trials(instance, Stages(RunDirectory.create(tmp_path / "run", "x"), Observer()))
    assert price.affordable(trials, held, 1 / 9, 10.0) == (held[0], 1 / 9)  # a small table: nothing is timed
    monkeypatch.setattr(price, "_CHEAP", 0)
    assert price.affordable(trials, held, 1 / 9, None) == (held[0], 1 / 9)
    assert price.affordable(trials, held, 1 / 9, 20.0) == (held[1], 1 / 9)  # an epoch of 2 s, of 3 s that it may take
    monkeypatch.setattr(price, "LEAST", 0)  # batches: this table has few
    first, share = price.affordable(trials, held, 1 / 9, 20.0)  # none fits: the cheapest, shorter
    assert first is held[0]
    assert share == pytest.approx(1 / 9 * 3 / 5)


def test_what_diverges_has_no_value_and_ends_nothing(tmp_path: Path):
    settings = STUDY | {"train.optimiser.learning_rate": 1e30, "study.budget": "10trials"}
    run = sif.search(clicks(tmp_path / "m.csv"), recipe="clicks", settings=settings, out=tmp_path / "run", device="cpu")
    lines = [json.loads(line) for line in (tmp_path / "run" / "trials.jsonl").read_text().splitlines()]
    assert any(line["value"] is None and line["epochs"] for line in lines if "trial" in line)
    assert run.result["rows"]["found"]["valid"] is not None


def test_a_budget_in_trials_never_asks_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Rivals take turns by their trainings, whatever these took."""
    csv, told = clicks(tmp_path / "m.csv"), []
    once = Journal.once

    def slow(self: Any, name: str, *given: Any) -> Any:
        made = once(self, name, *given)
        return made | {"seconds": 50.0} if name.startswith("ease") and "seconds" in made else made

    for turn in range(2):
        if turn:
            monkeypatch.setattr(Journal, "once", slow)
        out = tmp_path / f"run-{turn}"
        sif.search(csv, recipe="clicks", settings=STUDY, out=out, device="cpu")
        lines = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]
        told.append([(line.get("rival"), str(line["settings"]), line["value"]) for line in lines])
    assert told[0] == told[1]


ORACLE = """
import torch
from torch import nn

from nasp_core.network import Network
from sif.datasets import read
from sif.rivals import Baseline, Rival


class Oracle(Network):
    def __init__(self):
        super().__init__()
        data = read("mine.csv")
        values = torch.from_numpy(data.rating).float()
        table = torch.zeros(data.n_users, data.n_items)
        table[data.user, data.item] = (values - values.mean()) / values.std()
        self.table = nn.Parameter(table, requires_grad=False)

    def forward(self, inputs, mixture=None):
        return self.table[inputs[0], inputs[1]]


ORACLE = Rival("oracle", "knows", {"wide": Baseline(lambda *given: Oracle(), trained=False, embeds=False)})
"""


def test_an_injected_rival_that_wins_is_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nothing in the table of a search of ratings is better on validation than what the run hands over."""
    write_ratings(tmp_path / "mine.csv")
    (tmp_path / "oracle_rival.py").write_text(ORACLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    settings = {"baselines.names": ["biases", "oracle_rival:ORACLE"], "study.goal": "rating", "train.epochs": 2}
    run = sif.search("mine.csv", recipe="ratings", budget="8trials", settings=settings, out="run", device="cpu")
    rows, metric = run.result["rows"], run.result["metric"]
    assert min(rows, key=lambda name: rows[name]["valid"][metric]) == "oracle_rival:ORACLE"
    assert run.result["handed"]["name"] == "oracle_rival:ORACLE"
    assert run.result["metrics"]["valid"] == rows["oracle_rival:ORACLE"]["valid"]
    assert sif.load("run").recommend("u03", 2) == run.recommend("u03", 2)

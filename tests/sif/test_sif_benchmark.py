"""`sif benchmark`: budgets, the table of a race, what is kept after a kill, and the problems against brute force."""

import json
import lzma
import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sif_samples import TINY, sets, write_ratings
from typer.testing import CliRunner

from nasp_core.errors import SearchError
from nasp_core.methods import STRATEGIES, make_strategy
from nasp_core.strategy import Strategy
from nasp_core.trials import TRIALS, Proposal, Random, SearchContext, explore
from sif.benchmark import (
    Budget,
    CellTableBenchmark,
    Entrant,
    InteractionTableBenchmark,
    entrants_of,
    race,
    strategy_settings,
)
from sif.benchmark import entrants as entrants_module
from sif.benchmark.budget import Sizing
from sif.benchmark.one_shot import OneShot, passes_of
from sif.benchmark.results import Column, RaceRun, spread
from sif.benchmark.spending import BudgetedStrategy, EvaluationBudget, TimeBudget
from sif.cells.convolution.nas_bench_201 import NasBench201Space
from sif.cells.networks import CELL_TABLES
from sif.cli import app
from sif.datasets import read
from sif.errors import RaceError
from sif.spaces.interaction import InteractionSettings, InteractionSpace
from sif.spaces.wide_settings import WideSettings
from sif.tabular import PLANS, InteractionTable, build_table
from sif.testing.planted import PlantedTask

POINT = {"operation": (0,)}


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["benchmark", *map(str, arguments)])


def done(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.stdout


def answer_of(*arguments: object) -> dict[str, Any]:
    line = done(*arguments, "--json")
    assert line.count("\n") == 1
    outcome: dict[str, Any] = json.loads(line)
    return outcome


def rows_of(outcome: dict[str, Any]) -> dict[str, Any]:
    return {row["strategy"]: row for row in outcome["rows"]}


# --- budgets ---


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("60s", 60.0, "seconds"),
        ("0.5 s", 0.5, "seconds"),
        ("2m", 120.0, "seconds"),
        ("1h", 3600.0, "seconds"),
        ("200evaluations", 200.0, "evaluations"),
        ("1 evaluation", 1.0, "evaluations"),
        ("7trainings", 7.0, "evaluations"),
        ("24epochs", 24.0, "epochs"),
    ],
)
def test_a_budget_is_read(text: str, amount: float, unit: str):
    assert Budget.parse(text) == Budget(amount, unit)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "60", "s", "ms", "5 parsecs", "0s", "-3s", "1.5epochs", "0evaluations", "60ss", "2m30s"]
)
def test_what_is_no_budget_is_refused_with_what_is_one(text: str):
    with pytest.raises(RaceError, match=r"60s, 2m, 1h|whole numbers"):
        Budget.parse(text)


def test_passes_and_evaluations_are_one_budget():
    """A training has 12 passes: 5 trainings are 60 passes, and 60 passes 5 trainings."""
    assert Budget(5, "evaluations").passes(12) == Budget(60, "epochs").passes(12) == 60
    assert Budget(60, "epochs").evaluations(12) == 5
    with pytest.raises(RaceError, match="no number of trainings"):
        Budget(60, "seconds").evaluations(12)


def test_epochs_are_what_the_budget_leaves_beside_the_selection():
    assert Sizing(each=2.0, fixed=3.0).epochs(13.0) == 5
    assert Sizing(each=2.0, fixed=3.0).epochs(12.9) == 4
    assert Sizing(each=2.0, fixed=30.0).epochs(13.0) == 1
    assert Sizing(each=0.1, fixed=0.0).epochs(0.3) == 3


class _Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_timed_purse_begins_what_is_likely_to_end_in_time():
    clock = _Clock()
    budget_left = TimeBudget(10.0, clock)
    begun = 0
    for seconds in (4.0, 2.0, 2.0, 2.0, 2.0):  # means 4, 3, 2.67, ...: after three, 8 s are gone and 10.67 too many
        if not budget_left.affords(Proposal(POINT)):
            break
        begun += 1
        clock.now += seconds
        budget_left.pay(Proposal(POINT))
    assert (begun, clock.now) == (3, 108.0)
    assert budget_left.affords(Proposal(POINT, fidelity=0.5))  # half a training more ends at 9.3
    assert not budget_left.affords(Proposal(POINT, fidelity=0.9))


def test_the_first_training_is_tried_whatever_it_costs():
    clock = _Clock()
    budget_left = TimeBudget(1.0, clock)
    clock.now += 50.0
    assert budget_left.affords(Proposal(POINT))
    assert EvaluationBudget(0.5).affords(Proposal(POINT))


@pytest.mark.parametrize("name", TRIALS)
def test_no_trial_strategy_goes_beyond_its_purse(name: str):
    strategy = Entrant(name).strategy(trials=9)
    assert not isinstance(strategy, Strategy)
    space = InteractionSpace((2, 2), InteractionSettings())
    bounded = BudgetedStrategy(strategy, EvaluationBudget(4.0))
    task = PlantedTask("max", (2, 2), density=1.0)
    out = explore(SearchContext(space, task), bounded, lambda proposal: float(proposal.active["operation"][0]), seed=0)
    assert 0 < sum(each.proposal.fidelity for each in out) <= 4.0 + 1e-9
    assert bounded.asked == len(out)


class _Ticking:
    """A clock that a search moves: a second for each batch it asks for."""

    def __init__(self, task: PlantedTask) -> None:
        self.task, self.now = task, 0.0
        self.metric, self.maximise = task.metric, task.maximise
        self.sizes, self.loss, self.evaluate = task.sizes, task.loss, task.evaluate

    def __call__(self) -> float:
        return self.now

    def stream(self, split: Any, batch_size: int, seed: int) -> Any:
        stream, outer = self.task.stream(split, batch_size, seed), self

        class Counted:
            def __len__(self) -> int:
                return len(stream)

            def batch(self, step: int) -> Any:
                outer.now += 1.0
                return stream.batch(step)

        return Counted()


def _one_shot(budget: Budget, epochs: int = 8) -> tuple[OneShot, _Ticking]:
    from nasp_core.optimise import Training

    task = _Ticking(PlantedTask("max", (12, 10), density=0.8))
    training, final = Training(epochs=3, batch_size=32), Training(epochs=epochs, batch_size=32)
    settings = InteractionSettings(embedding_dim=2)
    return OneShot(lambda: InteractionSpace(task.sizes, settings), task, training, final, budget, task), task


def test_a_one_shot_search_is_sized_by_what_an_epoch_and_its_selection_take():
    """58 training ratings in batches of 32: two batches and two of validation an epoch, so 4 s by this clock."""
    shot, _ = _one_shot(Budget(50.0, "seconds"))
    nasp = make_strategy("nasp")
    assert isinstance(nasp, Strategy)
    assert shot.sized(nasp) == Sizing(each=4.0, fixed=0.0)
    plan = shot.plan(nasp)
    assert plan == {"epochs": 12.0, "least": 4.0}
    _, seconds = shot.run(nasp, int(plan["epochs"]), seed=1)
    assert seconds == 48.0
    assert shot.note(plan) is None


def test_finalists_are_paid_for_before_the_search():
    """Six finalists of five equivalence classes on a fourth of eight epochs: 5 x 2 epochs x 2 batches, 10 passes."""
    ranked = make_strategy("nasp-ranked")
    assert isinstance(ranked, Strategy)
    shot, _ = _one_shot(Budget(50.0, "seconds"))
    classes = shot.sized(ranked).fixed / 4.0
    assert classes == int(classes) > 1
    in_passes, _ = _one_shot(Budget(5, "evaluations"))
    assert in_passes.sized(ranked) == Sizing(each=2.0, fixed=2.0 * classes)
    assert in_passes.plan(ranked)["epochs"] == (5 * 8 - 2 * classes) // 2
    tight, _ = _one_shot(Budget(5, "epochs"))
    plan = tight.plan(ranked)
    assert plan["epochs"] == 1.0
    assert f"takes {2 + 2 * classes:.1f} passes" in str(tight.note(plan))


def test_passes_of_a_trace():
    trace = [
        {"phase": "search", "alpha": {"a": [[0.0]]}},
        {"phase": "search"},
        {"phase": "finalist", "epochs": 3},
        {"phase": "trial", "epochs": 5},
    ]
    assert passes_of(trace) == 11.0
    assert passes_of(trace, "search") == 3.0


# --- who takes part ---


def test_random_search_is_in_every_race():
    assert [each.name for each in entrants_of(["nasp", "darts", "nasp"], {})] == ["nasp", "darts", "random"]
    assert [each.name for each in entrants_of(["random", "nasp"], {})] == ["random", "nasp"]
    assert [each.name for each in entrants_of(["all"], {})] == list(STRATEGIES)


def test_unknown_names_are_all_told_with_the_nearest():
    with pytest.raises(RaceError) as caught:
        entrants_of(["nap", "dart"], {})
    assert "'nasp'?" in str(caught.value)
    assert "'darts'?" in str(caught.value)


def test_settings_of_strategies_are_told_from_those_of_the_recipe():
    settings, others = strategy_settings(["darts.alpha_lr=0.5", "train.epochs=3", "nasp.betas=[0.5, 0.9]"])
    assert settings == {"darts": {"alpha_lr": 0.5}, "nasp": {"betas": [0.5, 0.9]}}
    assert others == ["train.epochs=3"]
    darts, nasp, _ = entrants_of(["darts", "nasp"], settings)
    assert "lr=0.5" in darts.strategy().describe()["gradient"]
    assert "betas=(0.5, 0.9)" in nasp.strategy().describe()["gradient"]
    result = run("--recipe", "movielens", "--strategies", "darts", "--set", "darts.alpha=1")
    assert result.exit_code == 2
    assert "no setting 'alpha'" in result.stderr


# --- the race itself, on a problem of plain numbers ---


@dataclass
class _Numbers:
    """A problem whose runs are given: (strategy, seed) -> figure, or the error that the search ends with."""

    outcomes: Mapping[tuple[str, int], float | Exception]
    refused: Mapping[str, str]
    calls: list[tuple[str, int]]
    stop_at: int = 10**9
    columns = [Column(name="value", better="more", digits=1)]  # noqa: RUF012

    def describe(self) -> dict[str, Any]:
        return {"kind": "numbers"}

    def unsupported_reason(self, entrant: Entrant) -> str | None:
        return self.refused.get(entrant.name)

    def plan(self, entrant: Entrant) -> dict[str, float]:
        return {"epochs": 3.0}

    def note(self, plan: dict[str, float]) -> str | None:
        return None if plan["epochs"] == 3.0 else "another plan"

    def run(self, entrant: Entrant, seed: int, plan: dict[str, float]) -> RaceRun:
        if len(self.calls) == self.stop_at:
            raise KeyboardInterrupt
        self.calls.append((entrant.name, seed))
        outcome = self.outcomes[entrant.name, seed]
        if isinstance(outcome, Exception):
            raise outcome
        return RaceRun(
            strategy=entrant.name,
            seed=seed,
            parts={},
            status="done",
            found=f"point {outcome:g}",
            figures={"value": outcome},
        )

    def finish(self, runs: list[RaceRun]) -> None:
        pass


VALUES: dict[tuple[str, int], float | Exception] = {
    ("nasp", 0): 1.0,
    ("nasp", 1): 2.0,
    ("nasp", 2): 6.0,
    ("darts", 0): 9.0,
    ("darts", 1): SearchError("its loss stopped being finite"),
    ("darts", 2): 5.0,
    ("random", 0): SearchError("no point"),
    ("random", 1): ValueError("no point"),
    ("random", 2): SearchError("no point"),
}
NAMES = ["nasp", "darts", "darts-2nd"]


def _race(problem: _Numbers, out: Path, names: list[str] = NAMES, seeds: int = 3) -> dict[str, Any]:
    return race(problem, entrants_of(names, {}), seeds=seeds, budget=Budget(1, "seconds"), out=out)


def _numbers(**changes: Any) -> _Numbers:
    return _Numbers(VALUES, {"darts-2nd": "the chain is hard"}, [], **changes)


def test_means_and_deviations_are_over_the_seeds_that_did_not_fail(tmp_path: Path):
    rows = rows_of(_race(_numbers(), tmp_path / "race"))
    assert rows["nasp"]["figures"]["value"] == {"mean": 3.0, "std": pytest.approx(statistics.stdev([1, 2, 6]))}
    assert rows["darts"]["figures"]["value"] == {"mean": 7.0, "std": pytest.approx(math.sqrt(8.0))}
    assert rows["nasp"]["best_architectures"] == {"point 1": 1, "point 2": 1, "point 6": 1}
    assert spread([4.0]).std is None
    assert spread([]).mean is None


def test_what_fails_or_is_refused_is_shown_with_the_reason(tmp_path: Path):
    outcome = _race(_numbers(), tmp_path / "race")
    rows = rows_of(outcome)
    assert list(rows) == ["darts", "nasp", "darts-2nd", "random"]  # best first, then those without a figure
    assert (rows["darts"]["status"], rows["darts"]["reason"]) == ("done", "SearchError: its loss stopped being finite")
    assert [run["status"] for run in rows["darts"]["runs"]] == ["done", "failed", "done"]
    assert (rows["random"]["status"], rows["random"]["reason"]) == (
        "failed",
        "SearchError: no point; ValueError: no point",
    )
    assert (rows["darts-2nd"]["status"], rows["darts-2nd"]["reason"]) == ("refused", "the chain is hard")
    assert rows["darts-2nd"]["runs"] == []


def test_a_fault_of_the_code_is_not_taken_for_a_failed_search(tmp_path: Path):
    broken = _Numbers({**VALUES, ("darts", 1): TypeError("bug")}, {}, [])
    with pytest.raises(TypeError, match="bug"):
        _race(broken, tmp_path / "race", ["darts"])


@pytest.mark.parametrize("stop_at", [0, 1, 4, 8])
def test_a_killed_race_goes_on_with_what_is_missing(tmp_path: Path, stop_at: int):
    whole = _race(_numbers(), tmp_path / "whole")
    killed, again = _numbers(stop_at=stop_at), _numbers()
    with pytest.raises(KeyboardInterrupt):
        _race(killed, tmp_path / "race")
    assert not (tmp_path / "race" / "results.json").exists()
    assert _race(again, tmp_path / "race") == whole
    assert len(killed.calls) == stop_at
    assert sorted(killed.calls + again.calls) == sorted(VALUES)
    assert not list((tmp_path / "race").glob("**/.*"))


def test_more_seeds_and_strategies_add_to_what_is_there(tmp_path: Path):
    first, more = _numbers(), _numbers()
    _race(first, tmp_path / "race", ["nasp"], seeds=2)
    outcome = _race(more, tmp_path / "race", ["nasp", "darts"])
    assert sorted(first.calls) == [("nasp", 0), ("nasp", 1), ("random", 0), ("random", 1)]
    assert sorted(more.calls) == [("darts", 0), ("darts", 1), ("darts", 2), ("nasp", 2), ("random", 2)]
    assert outcome == json.loads((tmp_path / "race" / "results.json").read_text())


def test_settings_of_a_strategy_are_another_run(tmp_path: Path):
    problem = _numbers()
    for settings in ({}, {"nasp": {"alpha_lr": 0.5}}):
        race(problem, entrants_of(["nasp"], settings), seeds=1, budget=Budget(1, "seconds"), out=tmp_path / "race")
    assert problem.calls == [("nasp", 0), ("random", 0), ("nasp", 0)]


def test_another_race_does_not_enter_the_folder(tmp_path: Path):
    _race(_numbers(), tmp_path / "race", ["nasp"], seeds=1)
    with pytest.raises(RaceError, match="holds another race"):
        race(_numbers(), entrants_of(["nasp"], {}), seeds=1, budget=Budget(2, "seconds"), out=tmp_path / "race")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(RaceError, match="holds no race"):
        _race(_numbers(), tmp_path / "mine")
    with pytest.raises(RaceError, match="once or more"):
        _race(_numbers(), tmp_path / "new", seeds=0)


# --- on a recipe's data ---


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, list[str]]:
    """A race on planted ratings: its results, its folder, its arguments."""
    folder = tmp_path_factory.mktemp("raced")
    data = write_ratings(folder / "mine.csv")
    words = [
        "--recipe",
        "ratings-operations",
        "--data",
        str(data),
        "--strategies",
        "nasp-ranked,darts,evolution,enumerate",
    ]
    words += ["--seeds", "2", "--budget", "3evaluations", *sets(TINY), "--device", "cpu", "--out", str(folder / "race")]
    return answer_of(*words), folder / "race", words


def test_a_race_on_data_trains_each_find_alike(raced: tuple[dict[str, Any], Path, list[str]]):
    outcome, folder, _ = raced
    rows = rows_of(outcome)
    assert set(rows) == {"nasp-ranked", "darts", "evolution", "enumerate", "random"}
    assert all(row["status"] == "done" for row in rows.values())
    of_architecture: dict[tuple[int, str], set[tuple[float, float]]] = {}
    for row in rows.values():
        assert [run["seed"] for run in row["runs"]] == [0, 1]
        for run in row["runs"]:
            metrics = run["figures"]["valid rmse_standardised"], run["figures"]["test rmse_standardised"]
            of_architecture.setdefault((run["seed"], run["found"]), set()).add(metrics)
    assert all(len(metrics) == 1 for metrics in of_architecture.values()), "one architecture, two outcomes"
    stored = json.loads((folder / "results.json").read_text())
    assert stored == {key: value for key, value in outcome.items() if key != "race"}


def test_regret_is_against_the_best_point_that_any_of_them_trained(raced: tuple[dict[str, Any], Path, list[str]]):
    outcome, _, _ = raced
    runs = [run for row in outcome["rows"] for run in row["runs"]]
    for seed in (0, 1):
        trained = [value for run in runs if run["seed"] == seed for value in run["whole"].values()]
        for run in (run for run in runs if run["seed"] == seed):
            assert run["figures"]["regret"] == pytest.approx(run["figures"]["valid rmse_standardised"] - min(trained))
    assert min(run["figures"]["regret"] for run in runs) == 0.0


def test_budgets_of_trainings_are_kept(raced: tuple[dict[str, Any], Path, list[str]]):
    """Three trainings of three epochs are nine passes: an epoch of DARTS counts two, finalists their own."""
    rows = rows_of(raced[0])
    assert rows["evolution"]["effort"]["points"]["mean"] == rows["random"]["effort"]["points"]["mean"] == 3
    assert rows["enumerate"]["effort"]["points"]["mean"] == 3
    assert rows["darts"]["effort"]["epochs"]["mean"] == 4
    assert rows["nasp-ranked"]["effort"]["epochs"]["mean"] < 4


def test_a_finished_race_is_read_back(raced: tuple[dict[str, Any], Path, list[str]], monkeypatch: pytest.MonkeyPatch):
    outcome, _, words = raced
    monkeypatch.setattr("sif.benchmark.on_recipe.search", None)  # a search would fail
    assert answer_of(*words) == outcome


def test_the_table_shows_random_search_and_the_best_in_bold(
    raced: tuple[dict[str, Any], Path, list[str]], monkeypatch: pytest.MonkeyPatch
):
    from rich.console import Console

    from sif.cli import benchmark as module

    outcome, folder, words = raced
    shown = done(*words)
    assert "random" in shown
    assert "mean ± sample standard deviation over 2 seeds" in shown
    assert f"{folder}/results.json" in shown
    recording = Console(record=True, width=200, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115
    monkeypatch.setattr("sif.cli.tables.console", recording)
    module.print_race(outcome, folder)
    best = min(row["figures"]["regret"]["mean"] for row in outcome["rows"])
    bold = [line for line in recording.export_text(styles=True).splitlines() if "\x1b[1m" in line]
    assert any(f"{best:.4f}" in line for line in bold)


def test_seconds_are_kept_by_one_shot_and_trial_strategies(tmp_path: Path):
    data = write_ratings(tmp_path / "mine.csv")
    words = ["--recipe", "ratings-operations", "--data", data, "--strategies", "nasp", "--seeds", 1, "--budget", "1s"]
    rows = rows_of(answer_of(*words, *sets(TINY), "--device", "cpu", "--out", tmp_path / "race"))
    assert rows["nasp"]["effort"]["epochs"]["mean"] > 3  # far more than the recipe's two epochs fit into a second
    assert rows["random"]["effort"]["points"]["mean"] > 1
    assert {row["figures"]["search s"]["std"] for row in rows.values()} == {None}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one of the two"),
        (["--recipe", "movielens", "--space", "nas-bench-201"], "one of the two"),
        (["--space", "moon"], "nas-bench-201 and interaction-table"),
        (["--space", "nas-bench-201"], "--table FILE"),
        (["--recipe", "movielens", "--task", "rating"], "race on a table"),
        (["--recipe", "movielens", "--budget", "soon"], "is no budget"),
        (["--recipe", "movielens", "--strategies", "dart"], "did you mean 'darts'?"),
        (["--space", "interaction-table", "--set", "train.epochs=2"], "changes a recipe"),
        (["--space", "interaction-table", "--scores", "synflow"], "nas-bench-201"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(words: list[str], message: str):
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")
    assert result.stderr.startswith(("RaceError", "RecipeError"))


# --- on tables ---


@pytest.fixture(scope="module")
def accuracies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of all cells: 50 % on CIFAR-10, three for each 3 x 3 convolution, and a little to tell them apart."""
    from sif.cells.convolution.nas_bench_201 import NasBench201Settings

    names = list(CELL_TABLES["nas-bench-201"].columns.values())
    space = NasBench201Space(NasBench201Settings(channels=1, cells_per_stage=1))
    lines = [",".join([*names, "ArchitectureString"])]
    for number, active in enumerate(space.points()):
        cell = space.arch_string(active)
        value = 50 + 3 * cell.count("nor_conv_3x3") + 1e-5 * number
        lines.append(f"{value:.5f},{value - 20:.5f},{value - 40:.5f},{cell}")
    path = tmp_path_factory.mktemp("cells") / "table.csv.xz"
    path.write_bytes(lzma.compress("\n".join(lines).encode()))
    return path


def test_the_table_of_cells_against_brute_force(accuracies: Path, tmp_path: Path):
    problem = CellTableBenchmark("nas-bench-201", accuracies, "", Budget(40, "evaluations"))
    found = problem.run(Entrant("random"), 3, {"trials": 40.0})
    generator_told = explore(SearchContext(problem.space), Random(trials=40), problem._score, seed=3)
    best = max(generator_told, key=lambda each: each.score)
    cell = problem.space.arch_string(best.proposal.active)
    assert (found.found, found.figures["cifar10"]) == (cell, best.score)
    assert found.figures["cifar100"] == pytest.approx(best.score - 20)
    assert problem.best["cifar10"] == pytest.approx(50 + 18 + 1e-5 * 15624, abs=0.2)
    assert found.figures["regret"] == pytest.approx(problem.best["cifar10"] - best.score)


def test_a_race_on_the_table_of_cells(accuracies: Path, tmp_path: Path):
    words = ["--space", "nas-bench-201", "--table", accuracies, "--seeds", 3, "--budget", "60evaluations"]
    outcome = answer_of(*words, "--strategies", "evolution,enumerate,nasp", "--out", tmp_path / "race")
    rows = rows_of(outcome)
    assert rows["evolution"]["effort"]["points"]["mean"] == 60
    assert (rows["nasp"]["status"], rows["enumerate"]["status"]) == ("refused", "refused")
    assert "trains a network" in rows["nasp"]["reason"]
    assert "more than 500 points" in rows["enumerate"]["reason"]
    assert rows["evolution"]["figures"]["cifar10"]["mean"] > rows["random"]["figures"]["cifar10"]["mean"]
    result = run(*words[:-1], "60s")
    assert result.exit_code == 2
    assert "count trainings" in result.stderr


def test_a_strategy_of_shares_is_refused_by_a_table_without_them(accuracies: Path, monkeypatch: pytest.MonkeyPatch):
    @dataclass(frozen=True)
    class Halves(Random):
        def ask(self, context: SearchContext, state: Any) -> Proposal | None:
            proposal = super().ask(context, state)
            return proposal and Proposal(proposal.active, 0.5)

    problem = CellTableBenchmark("nas-bench-201", accuracies, "", Budget(4, "evaluations"))
    reason = entrants_module.refused(Halves(), problem.space, None, shares=False)
    assert "whole trainings alone" in str(reason)
    assert entrants_module.refused(Halves(), problem.space, None) is None


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> tuple[InteractionTable, Path]:
    """A table of eight trained points with two seeds, and the ratings it was made on."""
    folder = tmp_path_factory.mktemp("functions")
    data = write_ratings(folder / "mine.csv")
    offers: dict[str, Any] = {
        "encodings": ("id",),
        "elementwise": ("identity",),
        "operations": ("multiply", "max", "plus", "min"),
        "predictors": ("linear", "sum"),
        "biases": ("on",),
        "embedding_dim": 2,
    }
    plan = PLANS["rating"]
    small = replace(
        plan, settings=replace(plan.settings, **offers), training=replace(plan.training, epochs=2, batch_size=32)
    )
    assert isinstance(small.settings, WideSettings)
    out = build_table(read(data), folder / "table.parquet", seeds=2, tasks=("rating",), plans={"rating": small})
    return InteractionTable.load(out), data


def _looked_up(table: InteractionTable, order: list[Any], judge: Callable[[Proposal], float]) -> Any:
    return max(order, key=lambda point: judge(Proposal(point)))


def test_enumerating_the_table_of_functions_finds_what_the_seed_says_is_best(functions: tuple[InteractionTable, Path]):
    table, _ = functions
    problem = InteractionTableBenchmark(table, "rating", Budget(8, "evaluations"))
    for seed in (0, 1, 2):
        found = problem.run(Entrant("enumerate"), seed, problem.plan(Entrant("enumerate")))
        point = _looked_up(table, list(table.points), table.judge("rating", seed))
        assert found.found == table.space().genotype(point).key()
        assert found.figures["rank"] == table.rank("rating", point)
        assert found.figures["regret"] == table.regret("rating", point)
        assert found.figures["test rmse"] == table.metric("rating", point)
        assert found.effort == {"points": 8.0}
        spent = sum(table.seconds("rating", each) for each in table.points)
        assert found.figures["search s"] == pytest.approx(spent)


def test_seconds_on_a_table_are_those_of_its_trainings(functions: tuple[InteractionTable, Path]):
    """The points are asked in order: as many as their noted seconds fit into the budget."""
    table, _ = functions
    seconds = [table.seconds("rating", point) for point in table.points]
    budget = sum(seconds[:5]) + 0.5 * seconds[5]
    problem = InteractionTableBenchmark(table, "rating", Budget(budget, "seconds"))
    found = problem.run(Entrant("enumerate"), 0, {})
    assert found.effort == {"points": 5.0}
    assert found.figures["search s"] == pytest.approx(sum(seconds[:5]))
    assert problem.plan(Entrant("random"))["trials"] == math.ceil(budget * 8 / sum(seconds))


def test_one_shot_searches_have_a_true_rank(functions: tuple[InteractionTable, Path], tmp_path: Path):
    table, data = functions
    words = ["--space", "interaction-table", "--table", table.source, "--data", data, "--seeds", 2]
    words += ["--budget", "6evaluations", "--strategies", "nasp,nasp-ranked", "--out", tmp_path / "race"]
    rows = rows_of(answer_of(*words))
    ranks = {table.space().genotype(point).key(): table.rank("rating", point) for point in table.points}
    for name in ("nasp", "nasp-ranked", "random"):
        for one in rows[name]["runs"]:
            assert one["figures"]["rank"] == ranks[one["found"]]
    assert rows["nasp"]["effort"]["epochs"]["mean"] == 6  # six trainings of two passes, an epoch counts two
    other = write_ratings(tmp_path / "other.csv", seed=5)
    wrong = [other if word is data else word for word in words[:-1]]
    result = run(*wrong, tmp_path / "wrong")
    assert result.exit_code == 2
    assert "is not what the table was made on" in result.stderr.replace("\n", " ")


def test_scores_are_raced_over_seeds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from sif import scoring
    from sif.benchmark import ScoreRace

    asked = []

    def scored(recipe: str, **settings: Any) -> Any:
        asked.append(settings["seed"])
        rho = {"spearman": 0.5 + settings["seed"] / 10, "kendall": 0.4}
        none = {"spearman": math.nan, "kendall": math.nan}
        return scoring.PointScores(
            "nas-bench-201", "cifar10", 0, 64, [], {"naswot": "no ReLU"}, {"synflow": rho, "naswot": none}
        )

    monkeypatch.setattr(scoring, "score_points", scored)
    scores = ScoreRace(("naswot", "synflow"), "nas-bench-201", "table.csv", cells=20)
    outcome = race(
        _numbers(),
        entrants_of(["nasp"], {}),
        seeds=3,
        budget=Budget(1, "seconds"),
        out=tmp_path / "race",
        scores=scores,
    )
    synflow, naswot = outcome["scores"]
    assert (synflow["score"], synflow["cells"]) == ("synflow", 20)
    assert synflow["spearman"] == {"mean": pytest.approx(0.6), "std": pytest.approx(0.1)}
    assert synflow["kendall_tau"] == {"mean": pytest.approx(0.4), "std": pytest.approx(0.0)}
    assert naswot["spearman"]["mean"] is None
    assert naswot["reason"] == "no ReLU"
    assert asked == [0, 1, 2]
    race(
        _numbers(),
        entrants_of(["nasp"], {}),
        seeds=3,
        budget=Budget(1, "seconds"),
        out=tmp_path / "race",
        scores=scores,
    )
    assert asked == [0, 1, 2], "what was scored is kept"

"""`sif benchmark --suite`: arms, what is kept, regrets and ranks by hand, tests over tables, and the page."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from test_sif_ranking_run import clicks
from typer.testing import CliRunner

from sif.benchmark import SuiteOptions, run_suite, suite_map, suite_page
from sif.benchmark.suite import isolated_arm
from sif.benchmark.suite_arms import arms_of, gini, run_arm, seeded
from sif.benchmark.suite_drawn import RandomConfigurations
from sif.benchmark.suite_results import BEST, Figures, SuiteRun, best_rival, ranks, regret, versus
from sif.cli import app
from sif.cli import suite as command
from sif.compare.isolate import NotRun
from sif.compare.statistics import holm, paired
from sif.errors import RaceError, RecipeError
from sif.problems import open_recipe
from sif.recipes import load_recipe
from sif.studies import portfolio as begun_with
from sif.studies.portfolio_table import write_portfolio

SMALL = (
    "space.embedding_dim=4",
    "search.epochs=1",
    "search.min_steps=0",
    "train.epochs=2",
    "train.min_steps=0",
    "train.batch_size=64",
    "train.evaluate_every=1",
)
SUITE = """
[[tables]]
name = "clicked"
task = "ranking"
file = "clicked.csv"
columns = { user = "user_id", item = "item_id" }
fractions = [0.6, 0.2, 0.2]

[[tables]]
name = "rated"
task = "rating"
file = "rated.parquet"
part = "split"
valid = 1
test = 2
"""


def rated(path: Path) -> None:
    generator = np.random.default_rng(0)
    user, item = np.repeat(np.arange(20), 12), np.tile(np.arange(12), 20)
    rating = 3 + (user % 2 * 2 - 1) * (item % 2 * 2 - 1) + generator.normal(0, 0.3, len(user))
    split = generator.choice([0, 0, 0, 1, 2], len(user))
    pl.DataFrame({"user": user, "item": item, "rating": rating.round(2), "split": split}).write_parquet(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tables")
    clicks(made / "clicked.csv")
    rated(made / "rated.parquet")
    (made / "suite.toml").write_text(SUITE)
    return made


class Counting:
    """Runs arms in this process, and counts them."""

    def __init__(self, run: Callable[[dict[str, Any]], Any] = run_arm) -> None:
        self.run, self.ran = run, list[tuple[str, str, str, int]]()

    def __call__(self, job: dict[str, Any]) -> Any:
        self.ran.append((job["task"], job["arm"], job["budget"], job["seed"]))
        return self.run(job) | {"peak_memory_mb": 1.0}


@pytest.fixture(scope="module")
def raced(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Counting]:
    out, counting = tmp_path_factory.mktemp("suite") / "runs", Counting()
    arms = ("study", "random", "popularity", "ease", "biases")
    options = SuiteOptions(("3trials", "2trials"), 2, arms=arms, without=("rungs",), changes=SMALL)
    return out, run_suite(folder, out, options, runner=counting), counting


def rows(told: dict[str, Any], **wanted: Any) -> list[dict[str, Any]]:
    return [run for run in told["runs"] if all(run[key] == value for key, value in wanted.items())]


# the arms


def test_arms_are_those_that_a_task_has():
    assert arms_of("rating") == ["study", "random", "biases", "biased-mf", "svd++"]
    assert arms_of("ranking", ("ease", "study", "biases"), ("supernet", "rungs")) == [
        *("ease", "study", "study with supernet", "study without rungs")
    ]
    assert arms_of("rating", ("ease", "study", "biases")) == ["study", "biases"]
    assert [arm for arm in ("study", "random", "popularity", "als", "mf") if not seeded(arm)] == ["popularity"]
    with pytest.raises(RaceError, match=r"no arm 'eaze'\n.*the study has no part 'fun'; it has portfolio"):
        arms_of("ranking", ("eaze",), ("fun",))


def test_every_arm_hands_over_what_its_test_values_are_of(raced: Any):
    _, told, _ = raced
    assert not [run for run in told["runs"] if run["reason"]]
    for run in rows(told, task="ranking"):
        assert run["metric"] == "ndcg@10"
        assert 0 <= run["test"] <= 1
    assert {run["trials"] for run in rows(told, arm="random")} == {3}
    assert {run["trials"] for run in rows(told, arm="biases")} == {3}
    assert {run["trials"] for run in rows(told, arm="ease")} == {3}
    assert {run["trials"] for run in rows(told, arm="popularity")} == {1}
    assert {run["handed"] for run in rows(told, arm="popularity")} == {"popularity {}"}
    for run in rows(told, task="rating"):
        assert run["metric"] == "rmse"
        assert 0.3 < run["test"] < 1.3  # of ratings whose deviation is 1.04


def test_a_test_metric_is_the_mean_of_its_values(folder: Path):
    job = {"seed": 0, "budget": "1trials", "set": list(SMALL), "kin": []}
    parts = {"dataset": str(folder / "clicked.csv"), "split.fractions": [0.6, 0.2, 0.2]}
    for arm in ("study", "random", "popularity", "mf"):
        found = run_arm(job | {"task": "ranking", "arm": arm, "changes": parts})
        assert found["test"] == pytest.approx(float(found["values"].mean()))
        assert found["size"]["train"] > found["size"]["test"] == found["size"]["valid"]
    frame = pl.read_parquet(folder / "rated.parquet").drop("split")
    frame.write_csv(folder / "whole.csv")
    for arm in ("study", "biases"):
        found = run_arm(job | {"task": "rating", "arm": arm, "changes": {"dataset": str(folder / "whole.csv")}})
        assert found["test"] == pytest.approx(math.sqrt(float(found["values"].mean())))
        assert found["values"].shape == (found["size"]["test"],)


def test_a_budget_too_short_for_one_training_still_ends_with_a_model(folder: Path):
    changes = {"dataset": str(folder / "clicked.csv")}
    job = {"task": "ranking", "arm": "random", "seed": 0, "budget": "0.001s", "set": [*SMALL, "train.epochs=90"]}
    found = run_arm(job | {"changes": changes})
    assert (found["trials"], found["maximise"]) == (1, True)
    assert 0 <= found["valid"] <= 1


def test_draws_are_of_the_whole_space_and_each_follows_from_its_number(folder: Path):
    recipe = load_recipe("clicks", [f"dataset={json.dumps(str(folder / 'clicked.csv'))}"])
    instance: Any = open_recipe(recipe, device="cpu")
    drawn, again = (RandomConfigurations(instance).space for _ in range(2))
    every = [drawn.drawn(number) for number in range(40)]
    assert again.drawn(7) == every[7]
    assert len({each.key for each in every}) > 35
    assert {each.choices["biases"] for each in every} == {("on",), ("off",)}
    for key, ranges in instance.problem.settings_space.items():
        values = [each.settings[key] for each in every]
        assert all(not ranges.fault(value) for value in values)
        assert len({*values}) >= 3


@pytest.mark.slow
def test_an_arm_runs_in_a_process_of_its_own_as_here(folder: Path):
    job = {"task": "ranking", "arm": "random", "seed": 1, "budget": "2trials", "set": list(SMALL)}
    job["changes"] = {"dataset": str(folder / "clicked.csv")}
    alone, here = isolated_arm(job), run_arm(job)
    assert alone["values"].tolist() == here["values"].tolist()
    assert alone["peak_memory_mb"] > 50
    with pytest.raises(NotRun, match="RecipeError: rival 'conv-ncf' has no network"):
        isolated_arm(job | {"arm": "conv-ncf"})


# what is kept


def test_what_is_finished_is_not_run_again(folder: Path, raced: Any):
    out, told, first = raced
    assert ("ranking", "popularity", "3trials", 1) not in first.ran  # its seed changes nothing
    assert [run for run in first.ran if run[2] == "2trials"] == [
        (task, "study", "2trials", seed) for seed in (0, 1) for task in ("ranking", "rating")
    ]
    again = Counting()
    arms = ("study", "random", "popularity", "ease", "biases")
    options = SuiteOptions(("3trials", "2trials"), 2, arms=arms, without=("rungs",), changes=SMALL)
    assert run_suite(folder, out, options, runner=again) == told
    assert again.ran == []


def test_a_run_that_was_stopped_goes_on_and_one_that_failed_has_its_reason(folder: Path, tmp_path: Path):
    def stopped(job: dict[str, Any]) -> Any:
        if job["arm"] == "popularity":
            raise NotRun("its process was killed by SIGINT")
        if job["arm"] == "random":
            raise NotRun("it failed: ValueError: no")
        return run_arm(job)

    options = SuiteOptions(("2trials",), 1, ("clicked",), ("study", "random", "popularity"), changes=SMALL)
    with pytest.raises(KeyboardInterrupt):
        run_suite(folder, tmp_path / "out", options, runner=Counting(stopped))
    assert not (tmp_path / "out" / "results.json").exists()
    again = Counting()
    told = run_suite(folder, tmp_path / "out", options, runner=again)
    assert [arm for _, arm, _, _ in again.ran] == ["popularity"]
    assert [run["reason"] for run in told["runs"]] == [None, "it failed: ValueError: no", None]
    assert "- clicked, ranking, random at 2trials: it failed: ValueError: no" in suite_page(told)


def test_runs_on_other_terms_are_no_part_of_the_results(folder: Path, tmp_path: Path):
    options = SuiteOptions(("1trials",), 1, ("clicked",), ("popularity",), changes=SMALL)
    run_suite(folder, tmp_path / "out", options, runner=Counting())
    other = SuiteOptions(("1trials",), 1, ("clicked",), ("ease",), changes=(*SMALL, "ranking.k=5"))
    told = run_suite(folder, tmp_path / "out", other, runner=Counting())
    assert [(run["arm"], run["metric"]) for run in told["runs"]] == [("ease", "ndcg@5")]


def test_a_study_of_a_table_begins_with_the_portfolio_of_the_others(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    rows = [
        {"task": "ranking", "table": table, "metric": "ndcg@10", "maximise": True, "configuration": place, "by": "me",
         "choices": {"operation": [name]}, "settings": {}, "fidelity": 1.0, "value": value, "seconds": 1.0, "epochs": 1}
        for table, values in {"a": (0.9, 0.1, 0.2), "b": (0.1, 0.2, 0.9)}.items()
        for place, (name, value) in enumerate(zip(("plus", "max", "min"), values, strict=True))
    ]  # fmt: skip
    (tmp_path / "tables").mkdir()
    write_portfolio(rows, {}, tmp_path / "tables" / "portfolio.parquet")
    monkeypatch.setattr(begun_with, "resource_dir", lambda name: tmp_path)
    begun_with._without.cache_clear()
    for left_out, first in (("a", "min"), ("b", "plus")):
        with begun_with.leaving_out([left_out]):
            assert begun_with.entries_of("ranking")[0]["choices"] == {"operation": [first]}
            assert begun_with.entries_of("rating") == []
    begun_with._without.cache_clear()
    more = SUITE + '[[tables]]\nname = "few"\ntask = "rating"\nfile = "rated.parquet"\ncut = { users = 9 }\n'
    for name in ("clicked.csv", "rated.parquet"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "suite.toml").write_text(more)
    kin = dict[int, list[str]]()

    def asked(job: dict[str, Any]) -> Any:
        kin[len(kin)] = job["kin"]
        raise NotRun("no")

    options = SuiteOptions(("1trials",), 1, arms=("study",))
    run_suite(tmp_path, tmp_path / "out", options, runner=asked)
    assert [*kin.values()] == [["clicked"], ["rated", "few"], ["rated", "few"]]


# the figures


def made(table: str, arm: str, test: float, valid: float | None = None, seed: int = 0, **more: Any) -> SuiteRun:
    told = {"table": table, "task": "ranking", "arm": arm, "budget": "60s", "seed": seed, "metric": "ndcg@10"}
    return SuiteRun(**{**told, "test": test, "valid": test if valid is None else valid, "seconds": 1.0, **more})


def test_a_regret_is_a_share_of_the_best_known_value():
    assert regret(0.3, 0.4, maximise=True) == pytest.approx(0.25)
    assert regret(0.9, 0.8, maximise=False) == pytest.approx(0.125)
    assert regret(0.4, 0.4, maximise=True) == 0
    runs = [
        made("a", "study", 0.30),
        made("a", "study", 0.34, seed=1),
        made("a", "random", 0.20),
        made("a", "ease", 0.40, budget="6s"),
        made("b", "random", 0.9),
    ]
    figures = Figures(runs, ("a", "ranking"), "60s")
    assert figures.best == 0.40
    assert figures.regret("study") == pytest.approx(0.2)
    assert figures.regret("random") == pytest.approx(0.5)
    assert figures.regret("ease") is None
    assert figures.ranks(["study", "random", "ease"]) == {"study": 1, "random": 2}


def test_places_begin_at_one_and_equals_share_theirs():
    assert ranks({"a": 0.1, "b": 0.3, "c": 0.3}, maximise=True) == {"a": 3, "b": 1.5, "c": 1.5}
    assert ranks({"a": 0.1, "b": 0.3}, maximise=False) == {"a": 1, "b": 2}
    valid = {"study": 0.9, "random": 0.8, "study without rungs": 0.7, "ease": 0.1, "als": 0.2}
    assert best_rival(valid, maximise=True) == "als"
    assert best_rival(valid, maximise=False) == "ease"
    assert best_rival({"study": 0.9}, maximise=True) is None


def test_the_study_is_tested_on_every_table_and_corrected_over_them():
    generator, runs, values = np.random.default_rng(0), [], {}
    for place, table in enumerate("abc"):
        for arm, lead in (("study", 0.02 * place), ("ease", 0.0), ("als", -0.1), ("random", -0.05)):
            values[table, "ranking", arm] = generator.uniform(0, 0.5, 40) + lead
            runs.append(made(table, arm, float(values[table, "ranking", arm].mean())))
    told = versus(runs, values, "60s")
    rivals = [each for each in told if each.against == BEST]
    assert [each.table for each in rivals] == ["a", "b", "c"]
    expected = [
        paired(values[each.table, "ranking", "study"], values[each.table, "ranking", each.theirs], flips=4_999)[0]
        for each in rivals
    ]
    assert [each.p for each in rivals] == [test.p for test in expected]
    assert [each.p_holm for each in rivals] == holm([test.p for test in expected])
    assert [each.difference for each in rivals] == pytest.approx([test.difference for test in expected])
    less = [run.model_copy(update={"task": "rating", "maximise": False}) for run in runs]
    errors = {(table, "rating", arm): value for (table, _, arm), value in values.items()}
    for each in versus(less, errors, "60s"):
        gap = errors[each.table, "rating", each.theirs].mean() - errors[each.table, "rating", "study"].mean()
        assert each.difference == pytest.approx(gap)  # of errors less is better


def test_the_page_says_what_its_results_hold(raced: Any):
    out, told, _ = raced
    page = (out / "suite.md").read_text()
    assert page == suite_page(json.loads((out / "results.json").read_text()))
    runs = [SuiteRun(**run) for run in told["runs"]]
    for question in (("clicked", "ranking"), ("rated", "rating")):
        figures = Figures(runs, question, "3trials")
        mine = [run["test"] for run in rows(told, table=question[0], arm="study", budget="3trials")]
        assert figures.test["study"] == pytest.approx(sum(mine) / 2)
        line = next(line for line in page.splitlines() if line.startswith(f"| {question[0]} |"))
        assert f"{figures.best:.4f}" in line
        assert f"{sum(mine) / 2:.4f}" in line
        assert line.endswith(f"{100 * (figures.regret('study') or 0):.2f} % |")
        small = [run["test"] for run in rows(told, table=question[0], arm="study", budget="2trials")]
        tail = page.partition("## Smaller budgets")[2].partition("\n## ")[0]
        assert f"| {question[0]}, {question[1]} | {sum(mine) / 2:.4f} | {sum(small) / 2:.4f} |" in tail
    assert "study without rungs" in page.partition("## What pays")[2]


@pytest.mark.parametrize(("task", "table"), [("ranking", "clicked"), ("rating", "rated")])
def test_the_picture_has_a_figure_for_each_arm_that_ran(task: str, table: str, raced: Any):
    out, told, _ = raced
    picture = (out / f"suite-{task}.svg").read_text()
    assert picture == suite_map(told, task)
    assert f"](suite-{task}.svg)" in (out / "suite.md").read_text()
    figures = Figures([SuiteRun(**run) for run in told["runs"]], (table, task), "3trials")
    arms = [arm for arm in figures.test if not arm.startswith("study without")]
    texts = ["".join(each.itertext()) for each in ElementTree.fromstring(picture).iter() if each.tag.endswith("text")]
    assert set(arms) <= set(texts)
    assert texts[0] == "study"
    cells = texts[-len(arms) :]
    assert sorted(map(int, cells)) == sorted(round(100 * (1 - (figures.regret(arm) or 0))) for arm in arms)


def test_dense_tables_come_first_and_what_is_unknown_is_left_out(raced: Any):
    _, told, _ = raced
    more = json.loads(json.dumps(told))
    more["runs"] += [run | {"table": "thin"} for run in told["runs"] if run["table"] == "clicked"]
    more["sizes"]["thin ranking"] = {"users": 10_000, "items": 10_000, "train": 30_000}
    part = suite_page(more).partition("## What wins where")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    (thin,) = [line for line in lines if line.startswith("| thin, ranking")]
    assert thin.startswith("| thin, ranking | 3.0 | 0.03% | - | ")
    assert [line.split(",")[0] for line in lines if ", ranking |" in line][:2] == ["| clicked", "| thin"]
    assert "3 a user, 0.03%</text>" in suite_map(more, "ranking")


def test_the_gini_index_is_that_of_lorenz():
    assert gini(np.array([2, 2, 2])) == pytest.approx(0.0)
    assert gini(np.array([0, 4, 0, 0])) == pytest.approx(0.75)
    assert gini(np.array([1, 3])) == pytest.approx(abs(1 - 3) / 4 / 2)  # half the mean difference, by the mean
    assert gini(np.array([0, 0])) == 0.0


def test_the_page_of_the_docs_is_that_of_the_results_kept_beside_it():
    root = Path(__file__).parents[2]
    kept, page = root / "benchmarks" / "suite.json", root / "docs" / "suite.md"
    assert kept.is_file() == page.is_file()
    if page.is_file():
        results = json.loads(kept.read_text())
        notes = kept.with_name("suite_notes.md").read_text()
        assert page.read_text() == suite_page(results, notes), "run benchmarks/suite_page.py"
        for task in ("ranking", "rating"):
            assert page.with_name(f"suite-{task}.svg").read_text() == suite_map(results, task)


def test_the_command_writes_results_and_page(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "run_suite", partial(run_suite, runner=Counting()))
    words = ["benchmark", "--suite", str(folder), "--tables", "clicked", "--strategies", "popularity,ease", "--seeds"]
    result = CliRunner().invoke(app, [*words, "1", "--budget", "1trials", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "| ranking | ease | 1 |" in result.stdout
    told = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [run["arm"] for run in told["runs"]] == ["ease", "popularity"]
    assert told["command"].startswith("sif benchmark --suite FOLDER --budget 1trials --seeds 1")


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path):
    def refused(*words: str) -> str:
        result = CliRunner().invoke(app, ["benchmark", *words])
        assert result.exit_code == 2
        return " ".join(result.stderr.split())

    own = ("--suite", str(folder), "--out", str(tmp_path / "out"))
    assert "--recipe, --scores are for a race" in refused(*own, "--recipe", "ratings", "--scores", "synflow")
    assert "--tables and --without are of a suite" in refused("--recipe", "ratings", "--without", "rungs")
    assert "is no budget of a study" in refused(*own, "--budget", "soon")
    assert "--seeds 0; give 1 or more" in refused(*own, "--seeds", "0")
    assert "no arm 'eaze'" in refused(*own, "--strategies", "eaze")
    assert "the suite has no table gone" in refused(*own, "--tables", "gone")
    assert "train.epoch" in refused(*own, "--set", "train.epoch=3")
    assert not (tmp_path / "out").exists()
    with pytest.raises(RecipeError):
        SuiteOptions(("none",)).check()

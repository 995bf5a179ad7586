"""The portfolio: suites and their cuts, the build, the cover, and how it does on tables that were left out."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sif_samples import write_ratings
from typer.testing import CliRunner

from sif.cli.app import app
from sif.errors import DataError
from sif.problems import open_recipe
from sif.problems.ranking import RANKING
from sif.problems.rating import RATING
from sif.recipes import load_recipe
from sif.resources import resource_dir
from sif.studies import portfolio_build
from sif.studies.configuration import Configuration
from sif.studies.portfolio import entries_of
from sif.studies.portfolio_build import build_portfolio
from sif.studies.portfolio_table import (
    ENTRIES,
    Tried,
    entries_text,
    greedy_cover,
    mean_of,
    read_portfolio,
)
from sif.studies.proposals import portfolio
from sif.studies.suite_file import SuiteTable, TableCut, read_suite, suite_of

SHORT: dict[str, Any] = {"train.epochs": 1, "train.batch_size": 128}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes whose trainings take a moment."""
    monkeypatch.setattr(type(RATING), "tried_by", ("movielens-wide", SHORT))
    monkeypatch.setattr(type(RANKING), "tried_by", ("clicks", SHORT))


def files(folder: Path) -> list[Path]:
    clicks = folder / "clicks.csv"
    rows = [(f"u{user}", f"i{(user * 7 + step * step) % 15}") for user in range(20) for step in range(7)]
    clicks.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in sorted(set(rows))))
    return [write_ratings(folder / "stars.csv"), clicks]


def regrets(seed: int = 0, tables: int = 4, count: int = 9) -> np.ndarray:
    drawn = np.random.default_rng(seed).random((tables, count))
    return (drawn - drawn.min(axis=1, keepdims=True)).clip(0, 1)


def tried(regret: np.ndarray, by: list[str] | None = None) -> Tried:
    told = by or ["drawn"] * regret.shape[1]
    made = tuple(Configuration({"a": (str(place),)}, {}, each) for place, each in enumerate(told))
    names = tuple(f"t{row}" for row in range(len(regret)))
    return Tried(names, made, regret, np.ones(regret.shape[1]))


# the suite


def test_the_suite_that_ships_names_files_without_folders():
    suite = read_suite()
    assert all("/" not in name for table in suite.tables for name in table.files.values())
    assert {task for table in suite.tables for task in table.tasks} == {"rating", "ranking"}


def test_a_suite_says_all_that_is_wrong(tmp_path: Path):
    path = tmp_path / "suite.toml"
    path.write_text(
        '[[tables]]\nname = "a"\ntask = "rating"\n[[tables]]\nname = "a"\ntask = "ranking"\nfile = "x.csv"\ntest = 1\n'
    )
    with pytest.raises(DataError, match="3 problems") as caught:
        read_suite(path)
    for said in ("two tables are named a", "give file, or train", "give part"):
        assert said in str(caught.value)
    path.write_text('[[tables]]\nname = "a"\ntask = "stars"\nfile = "x.csv"\nfold = 1\n')
    with pytest.raises(DataError, match=r"2 problems(.|\n)*tables.0.task(.|\n)*tables.0.fold"):
        read_suite(path)


def test_a_cut_is_drawn_within_its_bounds_and_the_parts_stay(tmp_path: Path):
    rng = np.random.default_rng(0)
    pairs = sorted(
        {(int(u), int(i)) for u, i in zip(rng.integers(0, 200, 9000), rng.zipf(1.4, 9000) % 90, strict=True)}
    )
    whole = pl.DataFrame(pairs, schema=["user", "item"], orient="row")
    whole = whole.with_columns(pl.Series("fold", rng.integers(0, 5, len(whole))))
    whole.write_parquet(tmp_path / "t.parquet")
    cut = TableCut(users=50, items=40, rows=600, per_user=20)
    table = SuiteTable(name="t", task="ranking", file="t.parquet", part="fold", valid=1, test=2, cut=cut)
    said = table.lay(tmp_path, tmp_path / "out")
    parts = {part: pl.read_parquet(said[key]) for part, key in ((0, "dataset"), (1, "valid"), (2, "test"))}
    rows = pl.concat(parts.values())
    assert (rows["user"].n_unique() <= 50, rows["item"].n_unique() <= 40, len(rows) <= 600) == (True, True, True)
    assert len(rows) > 300
    assert rows["user"].value_counts()["count"].max() <= 20
    assert set(parts[1]["fold"]) == {1}
    assert set(parts[2]["fold"]) == {2}
    assert set(parts[0]["fold"]) == {0, 3, 4}
    again = table.lay(tmp_path, tmp_path / "again")
    assert pl.read_parquet(again["dataset"]).equals(parts[0])
    uncut = table.lay(tmp_path, tmp_path / "whole", whole=True)
    assert sum(len(pl.read_parquet(uncut[key])) for key in ("dataset", "valid", "test")) == len(whole)


def test_what_needs_no_cut_stays_where_it_is(tmp_path: Path):
    table = SuiteTable(name="t", task="rating", file="stars.csv", columns={"timestamp": ""}, split="user")
    said = table.lay(tmp_path, tmp_path / "out")
    assert said["dataset"] == str(tmp_path / "stars.csv")
    assert (said["split.kind"], said["columns.timestamp"]) == ("user", "")
    assert not (tmp_path / "out").exists()


def test_text_stays_text_in_a_cut(tmp_path: Path):
    (tmp_path / "t.csv").write_text("user,item\n" + "".join(f"0{u},00{i}\n" for u in range(9) for i in range(8)))
    said = suite_of([tmp_path / "t.csv"]).tables[0].lay(Path(), tmp_path / "out")
    assert "03,004\n" in Path(said["dataset"]).read_text()


# the build


def test_a_build_trains_the_same_on_every_table_and_goes_on_where_it_was(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
):
    suite, out = suite_of(files(tmp_path)), tmp_path / "p.parquet"
    inner, trained = portfolio_build.trained_once, list[str]()

    def counted(instance: Any, configuration: Configuration, fidelity: float, progress: Any) -> dict[str, Any]:
        if len(trained) == 3:
            trained.append("stopped")
            raise KeyboardInterrupt
        trained.append(f"{instance.recipe.task} {instance.fingerprint} {fidelity:.2f} {configuration.key}")
        return inner(instance, configuration, fidelity, progress)

    monkeypatch.setattr(portfolio_build, "trained_once", counted)
    with pytest.raises(KeyboardInterrupt):
        build_portfolio(suite.tables, Path(), out, configurations=2)
    assert not out.exists()
    build_portfolio(suite.tables, Path(), out, configurations=2)
    held = read_portfolio(out)
    assert len(held.frame) == len(trained) - 1
    assert len({*trained}) == len(trained)  # nothing twice
    assert held["ranking"].tables == ("stars", "clicks")
    assert held["rating"].tables == ("stars",)
    first = held.frame.filter(pl.col("fidelity") < 1).group_by("task", "table").len()
    assert set(first.filter(pl.col("task") == "ranking")["len"]) == {len(held["ranking"].configurations)}
    assert {"portfolio", "near stars"} <= {each.by for each in held["ranking"].configurations}
    assert out.with_suffix(".json").read_text() == entries_text(held)
    values = held.frame["value"].to_list()
    count = len(trained)
    build_portfolio(suite.tables, Path(), out, configurations=2)
    assert len(trained) == count
    assert read_portfolio(out).frame["value"].to_list() == values


def test_seconds_end_a_build(tmp_path: Path, quick: None):
    suite, out = suite_of(files(tmp_path)), tmp_path / "p.parquet"
    build_portfolio(suite.tables, Path(), out, configurations=30, seconds=0.0)
    held = read_portfolio(out)
    assert {len(each.configurations) for each in held.values()} == {1}


def test_trainings_of_another_portfolio_are_refused(tmp_path: Path, quick: None):
    suite, out = suite_of(files(tmp_path)), tmp_path / "p.parquet"
    build_portfolio(suite.tables, Path(), out, configurations=2, seconds=0.0)
    with pytest.raises(DataError, match="another portfolio"):
        build_portfolio(suite.tables[:1], Path(), out, configurations=2, seconds=0.0)


def test_a_build_begins_with_an_earlier_table(tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch):
    """Its trainings are taken over, what is new beside them is an encoding of an entry exchanged for a new one."""
    suite, first, out = suite_of(files(tmp_path)), tmp_path / "p.parquet", tmp_path / "q.parquet"
    build_portfolio(suite.tables, Path(), first, configurations=2)
    begun = read_portfolio(first)
    offers = {**SHORT, "space.encodings": ["id", "history", "id+history", "value-history"]}
    monkeypatch.setattr(type(RATING), "tried_by", ("movielens-wide", offers))
    entries = {"rating": [{"choices": json.loads(begun.frame["choices"][0]), "settings": {}}], "ranking": []}
    monkeypatch.setattr(portfolio_build, "entries_of", entries.__getitem__)
    inner, trained = portfolio_build.trained_once, list[str]()

    def counted(instance: Any, configuration: Configuration, *given: Any) -> dict[str, Any]:
        trained.append(configuration.by)
        return inner(instance, configuration, *given)

    monkeypatch.setattr(portfolio_build, "trained_once", counted)
    build_portfolio(suite.tables, Path(), out, configurations=10, begin=begun, tasks=["rating"])
    made = read_portfolio(out)
    before, after = (held.frame.filter(pl.col("task") == "rating") for held in (begun, made))
    assert after.join(before, on=["table", "choices", "settings", "fidelity"], how="inner").height == len(before)
    assert len(after) == len(before) + len(trained)
    exchanged = [each for each in made["rating"].configurations if each.by == "exchanged"]
    assert exchanged
    old = set(entries["rating"][0]["choices"]["encoding"])
    for each in exchanged:
        (new,) = [name for name in each.choices["encoding"] if name not in old]
        assert new == "value-history"
    lists = [held.frame.filter(pl.col("task") == "ranking") for held in (begun, made)]
    assert lists[0].equals(lists[1]), "the other task is kept"
    assert made.made["seconds"] > begun.made["seconds"]


def test_trainings_on_other_terms_are_not_taken_over(tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch):
    suite, out = suite_of(files(tmp_path)), tmp_path / "p.parquet"
    build_portfolio(suite.tables, Path(), out, configurations=2, seconds=0.0)
    begun = read_portfolio(out)
    with pytest.raises(DataError, match="not of the same tables: clicks"):
        build_portfolio(suite.tables[:1], Path(), tmp_path / "q.parquet", begin=begun)
    with pytest.raises(DataError, match="none of the tables is of task rating"):
        build_portfolio(suite.tables[1:], Path(), tmp_path / "r.parquet", tasks=["rating"])
    other = [suite.tables[0].model_copy(update={"cut": TableCut(users=10)}), *suite.tables[1:]]
    with pytest.raises(DataError, match="stars is cut or split otherwise"):
        build_portfolio(other, Path(), tmp_path / "q.parquet", begin=begun)
    monkeypatch.setattr(type(RATING), "tried_by", ("movielens-wide", {**SHORT, "train.epochs": 2}))
    with pytest.raises(DataError, match="by other recipes"):
        build_portfolio(suite.tables, Path(), tmp_path / "q.parquet", begin=begun)
    assert not (tmp_path / "q.parquet.trainings").exists()


# the cover


@pytest.mark.parametrize("seed", range(5))
def test_each_entry_is_the_one_that_leaves_the_least_regret(seed: int):
    regret = regrets(seed)
    cover = greedy_cover(regret, np.ones(9), 3)
    for size in range(len(cover)):
        before = regret[:, cover[:size]].min(axis=1, initial=1.0).mean()
        gains = [before - regret[:, [*cover[:size], other]].min(axis=1).mean() for other in range(9)]
        assert gains[cover[size]] >= 0.95 * max(gains)
    best = max(1 - regret[:, list(three)].min(axis=1).mean() for three in combinations(range(9), 3))
    reached = 1 - regret[:, cover].min(axis=1).mean()
    assert best >= reached >= 0.95 * (1 - 1 / np.e) * best  # what greedy promises


def test_of_two_that_gain_the_same_the_cheaper_is_taken_and_tables_are_covered_anew():
    regret = np.array([[0.0, 0.0, 1.0, 1.0, 0.1], [1.0, 1.0, 0.0, 0.2, 1.0]])
    assert greedy_cover(regret, np.array([2.0, 1.0, 1.0, 1.0, 1.0]), 5) == [1, 2, 0, 3, 4]


def test_of_entries_that_do_nearly_as_well_alone_the_cheapest_goes_first():
    regret = np.array([[0.0, 0.3, 0.26, 0.9], [0.0, 0.8, 0.26, 0.0], [0.9, 0.0, 0.5, 0.9]])  # alone .30, .37, .34, .60
    seconds, names = np.array([2.0, 1.0, 1.5, 0.1]), ("t0", "t1", "t2")
    configurations = tuple(Configuration({}, {"c": number}, "drawn") for number in range(4))
    held = Tried(names, configurations, regret, seconds)
    assert greedy_cover(regret, seconds, 4) == [0, 1, 2, 3]
    assert held.cover(4) == [2, 0, 1, 3], "1 is too much worse alone, though it is cheaper, and so is 3"
    assert Tried(names, configurations, regret, seconds[[2, 1, 0, 3]]).cover(4) == [0, 1, 2, 3]


def test_a_table_that_is_left_out_decides_nothing():
    regret = regrets(3, tables=5, count=30)
    by = ["drawn"] * 25 + ["near t2"] * 5
    other = regret.copy()
    other[2] = np.random.default_rng(9).random(30)
    assert tried(regret, by).cover(without=["t2"]) == tried(other, by).cover(without=["t2"])
    for name in ("t0", "t2"):
        chosen = tried(regret, by).cover(30, without=[name])
        assert len(chosen) == (25 if name == "t2" else 30)
        assert any(place >= 25 for place in chosen) == (name != "t2")
    told = tried(regret, by).left_out()
    assert told["t2"]["cover"][1] == regret[2, tried(regret, by).cover(without=["t2"])[0]]


def test_a_random_order_is_judged_by_its_expectation():
    regret = regrets(1, tables=2, count=8)
    told = tried(regret).left_out()["t1"]["random"]
    for at in (1, 3, 6):
        mean = np.mean([regret[1, list(some)].min() for some in combinations(range(8), at)])
        assert told[at] == pytest.approx(mean)
    assert told[12] == regret[1].min()


def test_regret_is_0_at_the_best_1_from_the_median_on_and_of_the_best_fidelity(tmp_path: Path):
    values = {0: {1 / 9: 0.9, 1.0: 0.5}, 1: {1 / 9: 0.8, 1.0: 0.7}, 2: {1 / 9: 0.9}, 3: {1 / 9: 2.0}, 4: {1 / 9: None}}
    rows = [
        {"task": "rating", "table": "t", "metric": "rmse", "maximise": False, "configuration": number, "by": "drawn",
         "choices": {"a": ["b"]}, "settings": {"c": number}, "fidelity": fidelity, "value": value, "seconds": 1.0,
         "epochs": 1}
        for number, trained in values.items() for fidelity, value in trained.items()
    ]  # fmt: skip
    portfolio_build.write_portfolio(rows, {}, tmp_path / "p.parquet")
    held = read_portfolio(tmp_path / "p.parquet")["rating"]
    assert held.regret[0] == pytest.approx([0.0, 0.5, 1.0, 1.0, 1.0])
    assert held.cover(1) == [0]


# what ships


def test_the_entries_that_ship_are_the_cover_of_the_table_that_ships():
    held = read_portfolio()
    assert (resource_dir("data") / "tables" / "portfolio.json").read_text(encoding="utf-8") == entries_text(held)
    for task, tried_there in held.items():
        assert len(entries_of(task)) == ENTRIES
        left_out = tried_there.left_out()
        cover, random = mean_of(left_out, "cover"), mean_of(left_out, "random")
        assert all(cover[at] < random[at] for at in cover)


@pytest.mark.parametrize(("recipe", "task"), [("ratings", "rating"), ("clicks", "ranking")])
def test_recipes_hold_the_entries(recipe: str, task: str, tmp_path: Path):
    data = files(tmp_path)[0 if task == "rating" else 1]
    instance: Any = open_recipe(load_recipe(recipe).model_copy(update={"dataset": str(data)}), device="cpu")
    assert len(portfolio(instance, entries_of(task))) == ENTRIES
    for entry in entries_of(task):
        for key, value in entry["settings"].items():
            assert instance.recipe.changed({key: value}).value(key) == value


# the command line


def test_the_command_builds_and_shows(tmp_path: Path, quick: None):
    stars, clicks = files(tmp_path)
    out, runner = tmp_path / "p.parquet", CliRunner()
    made = runner.invoke(
        app,
        ["portfolio", "build", str(stars), str(clicks), "--out", str(out), "--configurations", "2", "--seconds", "0"],
    )
    assert made.exit_code == 0, made.output
    shown = runner.invoke(app, ["portfolio", "show", str(out), "--json"])
    assert json.loads(shown.stdout)["ranking"]["tables"] == ["stars", "clicks"]
    assert "regret on a table that was left out" in runner.invoke(app, ["portfolio", "show", str(out)]).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "there is no nowhere"),
        (["."], "holds no table of the suite"),
        (["clicks.csv", "--suite", "x.toml"], "give one folder"),
        ([".", "--tables", "mine"], "has no table mine"),
        (["clicks.csv", "--tasks", "stars"], "no task stars; there are rating, ranking"),
        (["clicks.csv", "--begin", "nowhere.parquet"], "no portfolio nowhere.parquet"),
    ],
)
def test_what_cannot_be_built_is_said(arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["portfolio", "build", *arguments, "--out", "p.parquet"])
    assert found.exit_code == 2
    assert said in found.stderr

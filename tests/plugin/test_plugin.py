"""A package of a stranger: each of its parts by object, by import path and by the name of its entry point."""

import dataclasses
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sif_cell_samples import CONV, RECURRENT, write_pictures, write_text
from sif_kill import left
from sif_plugin_sample.activation import soft_sign
from sif_plugin_sample.cell_operation import Weigh
from sif_plugin_sample.encoding import Largest
from sif_plugin_sample.operation import Gap
from sif_plugin_sample.problem import NEAR, NearProblem
from sif_plugin_sample.proxy import Size
from sif_plugin_sample.reader import SQLite
from sif_plugin_sample.rival import NEARNESS
from sif_plugin_sample.strategy import Climb
from sif_samples import TINY, sets, write_ratings
from typer.testing import CliRunner

import sif
from nasp_core.errors import ProxyError
from nasp_core.loop import Observer
from nasp_core.parts import ByProxy
from nasp_core.trials.screen import Screen
from sif.api import retrain, score
from sif.benchmark import Budget, ScoreRace, entrants_of, race, recipe_benchmark
from sif.cli import app
from sif.compare import PairTable, compare_run, run_method
from sif.compare import run as running
from sif.compare.source import best_of, open_run
from sif.errors import DataError, RecipeError
from sif.problems import open_recipe
from sif.problems.ranking import RankingProblem
from sif.recipes import changes_of, load_recipe
from sif.rivals.known import rival
from sif.run_directory import RunDirectory
from sif.runs.engine import execute
from sif.scoring import score_points
from sif.serve.export import export_run, load_export
from sif.tasks import RankingTask
from sif.testing.operations import check_encoding, check_operation

PACKAGE = Path(__file__).parent / "sif_plugin_sample"
QUICK: dict[str, Any] = TINY | {"space.operations": ["multiply", "max", "plus", "min"]}
WIDE: dict[str, Any] = {key: value for key, value in TINY.items() if key != "space.embedding_dim"} | {
    "space.name": "interaction-wide",
    "space.embedding_dim": 2,
    "strategy": "random",
    "strategy.settings.trials": 2,
}


@pytest.fixture
def ratings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return write_ratings(tmp_path / "mine.csv").name


@pytest.fixture
def database(ratings: str) -> str:
    with closing(sqlite3.connect("mine.sqlite")) as made:
        frame = pl.read_csv(ratings)
        made.execute("CREATE TABLE ratings (user_id TEXT, movie_id TEXT, rating REAL, timestamp INTEGER)")
        made.executemany("INSERT INTO ratings VALUES (?, ?, ?, ?)", frame.rows())
        made.commit()
    return "mine.sqlite"


def command(*words: str) -> Any:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, (words, result.output)
    return json.loads(result.stdout)


def test_each_part_is_one_short_file_that_sif_does_not_know():
    files = [path for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]
    parts = {"strategy", "operation", "encoding", "proxy", "reader", "problem", "rival"}
    assert {path.stem for path in files} == parts | {"cell_operation", "activation"}
    assert all(len(path.read_text().splitlines()) < 60 for path in files)
    root = PACKAGE.parents[2]
    code = [path for room in ("sif", "nasp_core") for path in (root / room).rglob("*.py")]
    assert not [path for path in code if "sif_plugin_sample" in path.read_text()]


def here(job: dict[str, Any], config: Any, table: Path, told: Any) -> Any:
    """Compare in this process."""
    method = rival(job["rival"]).method if "rival" in job else best_of(job["run"])
    assert method is not None
    return run_method(method, PairTable.load(table), config, told) | {"peak_memory_mb": 1.0}


RIVALS = [
    (NEARNESS, "sif_plugin_sample.rival:NEARNESS"),
    ("sif_plugin_sample.rival:NEARNESS", "sif_plugin_sample.rival:NEARNESS"),
    ("nearness", "nearness"),
]


@pytest.mark.parametrize(("given", "name"), RIVALS)
def test_a_rival(given: Any, name: str, ratings: str, monkeypatch: pytest.MonkeyPatch):
    """In a run by its network; in a comparison by its method (here in this process)."""
    run = sif.search(ratings, settings=QUICK | {"baselines.names": [given]}, out="run", device="cpu")
    assert list(run.result["rows"]) == ["found", name]

    monkeypatch.setattr(running, "isolated", here)
    rows = compare_run(run.path, [given], budget=5.0, seeds=1)["rows"]
    assert [(row["name"], row["status"]) for row in rows] == [("found", "done"), (name, "done")]


STRATEGIES = [
    (Climb(trials=3), "sif_plugin_sample.strategy:Climb"),
    ("sif_plugin_sample.strategy:Climb", "sif_plugin_sample.strategy:Climb"),
    ("climb", "climb"),
]


@pytest.mark.parametrize(("given", "name"), STRATEGIES)
def test_a_strategy(given: Any, name: str, ratings: str):
    settings = QUICK if isinstance(given, Climb) else QUICK | {"strategy.settings.trials": 3}
    run = sif.search(ratings, given, settings=settings, out="run", device="cpu")
    result = run.result["strategy"]
    assert (result["name"], result["settings"]["trials"]) == (name, 3)
    again = sif.search(recipe="run/recipe.toml", out="again", device="cpu")
    assert again.result["genotype"] == run.result["genotype"]
    assert len([line for line in (run.path / "trace.jsonl").read_text().splitlines() if '"genotype"' in line]) >= 3


class Killed(Observer):
    """Ends a run at a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def stepped(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


EVERYTHING: dict[str, Any] = QUICK | {
    "task": NEAR,
    "space.operations": ["multiply", Gap(), "max"],
    "reader": SQLite(),
}


@pytest.mark.parametrize("step", [9, 20])
def test_a_killed_run_of_all_parts_goes_on_as_if_it_had_not_been(step: int, database: str):
    settings = EVERYTHING | {"dataset": Path(database).absolute()}
    recipe = load_recipe("ratings-operations", changes_of(settings, Climb(trials=3)))
    for name, progress in (("whole", None), ("killed", Killed(step))):
        directory = RunDirectory.create(Path(name), "run")
        try:
            execute(open_recipe(recipe, device="cpu"), directory, progress=progress, checkpoint_seconds=0.0)
        except KeyboardInterrupt:
            assert list((directory.path / "checkpoint").glob("*.safetensors"))
    assert not (Path("killed") / "result.json").exists()
    command("search", "--resume", "killed", "--device", "cpu")
    assert left(Path("killed")) == left(Path("whole"))
    written = (Path("whole") / "recipe.toml").read_text()
    for name in ("problem:NEAR", "operation:Gap", "reader:SQLite", "strategy:Climb"):
        assert f'"sif_plugin_sample.{name}"' in written


def test_what_is_in_the_package_races(ratings: str):
    words = ["--strategies", "climb,sif_plugin_sample.strategy:Climb,random", "--seeds", "1", "--budget", "6epochs"]
    changes = QUICK | {"task": "near", "space.operations": ["multiply", "gap"]}
    result = command(
        "benchmark", "--recipe", "ratings-operations", "--data", ratings, *words, *sets(changes), "--out", "race"
    )
    names = {row["strategy"]: row["status"] for row in result["rows"]}
    assert names == dict.fromkeys(("climb", "sif_plugin_sample.strategy:Climb", "random"), "done")
    assert result["columns"][0]["name"] == "valid near"
    assert result["benchmark"]["recipe"]["space"]["operations"] == ["multiply", "gap"]


def test_a_strategy_object_races(ratings: str):
    budget = Budget.parse("3epochs")
    problem = recipe_benchmark(
        "ratings-operations", budget, data=ratings, changes=[f"{k}={json.dumps(v)}" for k, v in QUICK.items()]
    )
    result = race(problem, entrants_of([Climb(trials=1)]), seeds=1, budget=budget, out=Path("race"))
    assert [(row["strategy"], row["status"]) for row in result["rows"] if row["strategy"] != "random"] == [
        ("climb (own)", "done")
    ]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (Gap(), "sif_plugin_sample.operation:Gap"),
        (Gap, "sif_plugin_sample.operation:Gap"),
        ("sif_plugin_sample.operation:Gap", "sif_plugin_sample.operation:Gap"),
        ("gap", "gap"),
    ],
    ids=["object", "class", "path", "name"],
)
def test_an_operation(given: Any, name: str, ratings: str):
    run = sif.search(ratings, operations=[given], settings=TINY, out="run", device="cpu")
    assert set(run.result["genotype"]["choices"]["operation"]) == {name}
    assert "|" in run.formula
    assert "operations = [" in (run.path / "recipe.toml").read_text()
    assert sif.load("run").recommend("u03", 2) == run.recommend("u03", 2)
    check_operation(given if isinstance(given, str) else Gap())
    in_table = load_recipe("ratings-operations", changes_of({"space": {"operations": ("plus", given)}}))
    assert in_table.space.operations == ("plus", name)


CELLS = {"image": ("cifar10", CONV, write_pictures), "text": ("ptb", RECURRENT, write_text)}


@pytest.mark.parametrize(
    ("task", "group", "changes", "name"),
    [
        ("image", "normal", {"space.operations": [Weigh]}, "sif_plugin_sample.cell_operation:Weigh"),
        ("image", "reduce", {"space.reduce_operations": ["weigh"]}, "weigh"),
        ("text", "node", {"space.activations": ["none", soft_sign]}, "sif_plugin_sample.activation:soft_sign"),
        ("text", "node", {"space.activations": ["soft_sign"]}, "soft_sign"),
    ],
)
def test_an_operation_of_cells(
    task: str, group: str, changes: dict[str, Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is searched, trained, saved, judged, exported; a killed run goes on as if it had not been."""
    monkeypatch.chdir(tmp_path)
    kind, settings, write = CELLS[task]
    write(Path("data"))
    recipe = load_recipe(kind, changes_of({**settings, **changes, "dataset": str(Path("data").absolute())}), "full")
    for out, progress in (("whole", None), ("killed", Killed(4))):
        directory = RunDirectory.create(Path(out), "run")
        try:
            execute(open_recipe(recipe, device="cpu"), directory, progress=progress, checkpoint_seconds=0.0)
        except KeyboardInterrupt:
            assert list((directory.path / "checkpoint").glob("*.safetensors"))
    command("search", "--resume", "killed", "--device", "cpu")
    assert left(Path("killed")) == left(Path("whole"))
    run = sif.load("whole")
    chosen = set(run.result["genotype"]["choices"][group]) - {None}
    assert chosen == {name}
    assert f'"{name}"' in (run.path / "recipe.toml").read_text()
    weights = run.network().state_dict()
    assert task == "text" or any("module.weigh.weight" in key and value.any() for key, value in weights.items())
    before = score("whole", device="cpu")["test"]
    retrain("whole", epochs=3, device="cpu")
    assert score("whole", device="cpu")["test"] == before
    for to in ("safetensors", "onnx"):
        assert name in command("export", "whole", "--to", to, "--out", f"cell.{to}")["formula"]


def test_operations_of_cells_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    data = str(write_pictures(Path("data")))
    changes = CONV | {"space.operations": ["none", "weigh", "skip_connect"]}
    words = ["--strategies", "nasp,random", "--seeds", "1", "--budget", "2epochs", "--out", "race"]
    told = command("benchmark", "--recipe", "cifar10", "--data", data, *words, *sets(changes))
    assert {row["status"] for row in told["rows"]} == {"done"}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (Largest(), "sif_plugin_sample.encoding:Largest"),
        ("sif_plugin_sample.encoding:Largest", "sif_plugin_sample.encoding:Largest"),
        ("largest", "largest"),
    ],
    ids=["object", "path", "name"],
)
def test_an_encoding(given: Any, name: str, ratings: str):
    run = sif.search(ratings, encodings=[given], settings=WIDE, out="run", device="cpu")
    assert set(run.result["genotype"]["choices"]["encoding"]) == {name}
    assert sif.load("run").recommend("u03", 2) == run.recommend("u03", 2)
    if not isinstance(given, str):
        check_encoding(given)


def test_a_proxy_scores(ratings: str):
    named = ("size", "sif_plugin_sample.proxy:Size")
    result = command("score", "ratings-operations", "--data", ratings, "--score", ",".join(named), "--points", "3")
    assert all(set(point["scores"]) == set(named) for point in result["points"])
    own = score_points("ratings-operations", data=ratings, scores=[Size(power=2.0), named[1]], points=3, device="cpu")
    for point in own.points:
        assert point["scores"]["size"] == point["scores"][named[1]] ** 2
    with pytest.raises(ProxyError, match="two scores are called alike among size, size"):
        score_points("ratings-operations", data=ratings, scores=[Size(), Size(power=2.0)])
    with pytest.raises(ProxyError, match=r"needs score\(network, batch, loss\)"):
        score_points("ratings-operations", data=ratings, scores=["sif_plugin_sample.operation:Gap"])
    ScoreRace(named, "nas-bench-201", "").check()


@pytest.mark.parametrize("given", [Size(power=2.0), "sif_plugin_sample.proxy:Size", "size"], ids=str)
def test_a_proxy_in_strategies(given: Any, ratings: str):
    settings = QUICK | {"strategy.settings.trials": 1, "strategy.settings.pool": 3}
    run = sif.search(ratings, "screen", settings=settings | {"strategy.settings.proxy": given}, device="cpu", out="run")
    result = run.result["strategy"]["settings"]["proxy"]
    assert result == (given if isinstance(given, str) else {"object": "sif_plugin_sample.proxy:Size", "power": 2.0})
    again = load_recipe("run/recipe.toml")
    assert again.make_strategy() == Screen(trials=1, pool=3, proxy=given)
    part = dataclasses.replace(load_recipe("ratings-operations").make_strategy(), select=ByProxy(given, pool=2))
    assert sif.search(ratings, part, settings=QUICK, device="cpu").result["rows"]["found"]["valid"]


@pytest.mark.parametrize(
    "given",
    [None, SQLite(), SQLite, "sif_plugin_sample.reader:SQLite", "sqlite"],
    ids=["found", "object", "class", "path", "name"],
)
def test_a_reader(given: Any, database: str):
    result, plain = sif.read(database, reader=given), sif.read("mine.csv")
    assert result.fingerprint() == plain.fingerprint()
    assert result.source == database


def test_a_reader_in_searches(database: str):
    found = sif.search(database, settings=QUICK, reader=SQLite(), device="cpu", out="run")
    assert 'reader = "sif_plugin_sample.reader:SQLite"' in (found.path / "recipe.toml").read_text()
    retrain("run", epochs=1, device="cpu")
    assert score("run", device="cpu")["test"] is not None
    result = command("search", database, *sets(QUICK), "--device", "cpu")
    assert result["fingerprint"] == found.result["fingerprint"]
    with closing(sqlite3.connect("mine.sqlite")) as file:
        file.execute("DELETE FROM ratings WHERE rowid > 200")
        file.commit()
    pl.read_csv("mine.csv")[200:].write_csv("test.csv")
    parts = command("search", database, "--test", "test.csv", *sets(QUICK), "--device", "cpu")
    assert parts["split"]["kind"] == "files"


@pytest.mark.parametrize(
    ("reader", "words"),
    [
        (SQLite(), "reader SQLite does not read mine.csv"),
        (Gap(), r"is of type Gap; it needs reads\(source\) and frame\(source\)"),
        ("sqlit", "unknown reader 'sqlit'; did you mean 'sqlite'"),
        ("sif_plugin_sample.reader:SQLit", "has no SQLit; did you mean sif_plugin_sample.reader:SQLite"),
    ],
)
def test_what_is_no_reader_for_it(reader: Any, words: str, ratings: str):
    with pytest.raises(DataError, match=words):
        sif.read(ratings, reader=reader)


def test_what_a_reader_may_do_wrong(ratings: str, monkeypatch: pytest.MonkeyPatch):
    Path("broken.sqlite").write_text("no database")
    with pytest.raises(DataError, match=r"reader SQLite cannot read broken.sqlite: DatabaseError"):
        sif.read("broken.sqlite")
    monkeypatch.setattr(SQLite, "frame", lambda self, source: [1, 2])
    with pytest.raises(DataError, match=r"reader SQLite made a builtins.list of broken.sqlite"):
        sif.read("broken.sqlite")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (NEAR, "sif_plugin_sample.problem:NEAR"),
        (NearProblem, "sif_plugin_sample.problem:NearProblem"),
        ("sif_plugin_sample.problem:NEAR", "sif_plugin_sample.problem:NEAR"),
        ("near", "near"),
    ],
    ids=["object", "class", "path", "name"],
)
def test_a_problem(given: Any, name: str, ratings: str):
    run = sif.search(ratings, problem=given, settings=QUICK | {"baselines.names": ["biases"]}, out="run", device="cpu")
    assert (run.result["task"], run.result["metric"], run.result["maximise"]) == (name, "near", True)
    assert f'task = "{name}"' in (run.path / "recipe.toml").read_text()
    loaded = sif.load("run")
    assert isinstance(loaded, sif.Run)
    assert loaded.recommend("u03", 2) == run.recommend("u03", 2)
    assert "<th>test near</th>" in (run.path / "report.html").read_text()
    before = score("run", device="cpu")
    retrain("run", epochs=3, device="cpu")
    assert set(score("run", device="cpu")["test"]) == set(before["test"]) == {"near", "rmse", "mae"}
    retrain("run", all_data=True, device="cpu")
    assert command("export", "run", "--to", "npz", "--out", "model.npz")["users"] == 24


class AgainTask(RankingTask):
    """A ranking that is chosen by recall."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self.metric = f"recall@{self.settings.k}"


class AgainProblem(RankingProblem):
    """A task of a stranger that ranks."""

    name = "again"

    def make_task(self, recipe: Any, interactions: Any, cut: Any, device: Any) -> RankingTask:
        """Return the task on data that are cut."""
        return AgainTask(interactions, cut, recipe.ranking_settings(), device=device)


AGAIN = AgainProblem()


@pytest.mark.parametrize(
    ("given", "settings", "judged"),
    [
        (NEAR, QUICK, (10, None, "ndcg", "trained to predict ratings")),
        (AGAIN, WIDE | {"ranking.k": 4, "ranking.threshold": 2.0}, (4, 2.0, "ndcg", "")),
    ],
    ids=["rates", "ranks"],
)
def test_a_task_of_a_stranger_goes_through_every_verb(
    given: Any, settings: dict[str, Any], judged: tuple[Any, ...], ratings: str, monkeypatch: pytest.MonkeyPatch
):
    """What rating and ranking differ in is asked of the problem: a name or a class that sif knows is nowhere needed."""
    run = sif.search(ratings, problem=given, settings=settings | {"baselines.names": []}, out="run", device="cpu")
    metric = run.result["metric"]
    assert (given.ranks, metric) in [(False, "near"), (True, "recall@4")]
    sheet = given.sheet(run.result)
    assert f" {given.what}; split" in sheet.facts
    assert sheet.table.columns[1] == f"valid {metric}"
    retrain("run", epochs=2, device="cpu")
    assert metric in score("run", device="cpu")["test"]
    k, threshold, selects, words = judged
    told = command("evaluate", "run", "--ranking", "--device", "cpu")
    assert (told["k"], told["threshold"], told["task"]) == ([k], threshold, run.result["task"])
    monkeypatch.setattr(running, "isolated", here)
    compared = compare_run(run.path, ["popularity"], budget=5.0, seeds=1)
    assert compared["rows"]
    opened = open_run(run.path)
    assert (opened.k, opened.threshold, opened.metric) == (k, threshold, selects)
    assert words in opened.best.method.note
    assert opened.best.method.deterministic is not given.ranks
    assert len(sif.load("run").recommend("u03", 2)) == 2
    path = export_run(run.path, "npz", "model.npz")[0]
    assert (load_export(path).facts["scale"] is None) == given.ranks


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("nea", "task = 'nea': did you mean 'near'|task = 'nea'"),
        ("sif_plugin_sample.operation:Gap", "is of type Gap, and has no what, recipes"),
        (Gap(), "is of type Gap, and has no what, recipes"),
    ],
)
def test_what_is_no_problem(problem: Any, words: str, ratings: str):
    with pytest.raises(RecipeError, match=words):
        sif.search(ratings, problem=problem)


def test_objects_in_settings_that_no_name_finds(ratings: str):
    with pytest.raises(RecipeError) as caught:
        sif.search(ratings, settings={"space.operations": ["plus", object()], "search.epochs": object(), "task": 3})
    message = str(caught.value)
    assert "space.operations" in message
    assert "is neither a name nor a sif.operations.base.Operation" in message
    assert "search.epochs = <object object" in message

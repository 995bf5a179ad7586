"""Strategies from outside: passed as objects, named by import path, written down, made again, raced."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sif_samples import TINY, sets
from typer.testing import CliRunner

import sif
from nasp_core.errors import NaspError, StrategyError
from nasp_core.methods.darts import darts
from nasp_core.methods.nasp import nasp
from nasp_core.parts import Argmax, FirstOrder, Logits, Softmax
from nasp_core.strategy import Strategy
from nasp_core.trials import Random
from sif.benchmark import Budget, entrants_of, race, recipe_benchmark
from sif.cli import app
from sif.errors import RecipeError
from sif.extend import from_plain, names_of, resolve, to_plain
from sif.recipes import changes_of, load_recipe, parse_recipe
from sif.recipes.strategy import StrategyRecipe
from sif.toml import dump_toml

MINE = Strategy(domain=Logits(), relax=Softmax(), gradient=FirstOrder(lr=3e-3), select=Argmax())


class Local(Softmax):
    """A part that no import finds: the test's module is not a package's."""


Local.__module__ = "__main__"
UNWRITABLE = Strategy(domain=Logits(), relax=Local(), gradient=FirstOrder(lr=3e-3), select=Argmax(), name="local")

MODULE = '''\
from nasp_core.parts import Logits
from nasp_core.parts import FirstOrder
from nasp_core.parts import Softmax
from nasp_core.parts import Argmax
from nasp_core.strategy import Strategy


def slow(*, lr: float = 1e-3, label: str = "slow") -> Strategy:
    """Return softmax with a slow alpha."""
    return Strategy(domain=Logits(), relax=Softmax(), gradient=FirstOrder(lr=lr), select=Argmax(), name=label)


ready = slow()
number = 3
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of one's own beside the data."""
    (tmp_path / "own_strategies.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "own_strategies"


def recipe_of(strategy: Any, settings: Any = None) -> Any:
    return load_recipe("ratings-operations", changes_of(settings, strategy))


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (MINE, MINE),
        (Random(trials=3), Random(trials=3)),
        (nasp, nasp()),
        (partial(nasp, alpha_lr=0.2), nasp(alpha_lr=0.2)),
        (lambda: darts(alpha_lr=0.1), darts(alpha_lr=0.1)),
        ("nasp_core.methods.darts:darts", darts()),
    ],
)
def test_a_strategy_is_made_again_from_its_recipe(given: Any, made: Any):
    recipe = recipe_of(given)
    again = parse_recipe(dump_toml(recipe.model_dump()), "again")
    assert again == recipe
    assert again.make_strategy() == made


def test_a_run_says_what_its_strategy_was_made_of(ratings: str):
    run = sif.search(ratings, MINE, settings=TINY, out="run", device="cpu")
    result = run.result["strategy"]
    assert result["name"] == "nasp_core.strategy:Strategy"
    assert result["parts"] == MINE.describe()
    assert result["settings"]["gradient"] == {"object": "nasp_core.parts.gradients:FirstOrder", **_fields()}
    again = sif.search(ratings, recipe="run/recipe.toml", out="again", device="cpu")
    assert (again.path / "trace.jsonl").read_text() == (run.path / "trace.jsonl").read_text()


def _fields() -> dict[str, Any]:
    return {"lr": 3e-3, "betas": [0.9, 0.999], "weight_decay": 0.0, "continuous_lr": "none"}


def test_a_strategy_that_no_import_finds_runs_and_says_so_when_it_is_asked_for_again(ratings: str):
    run = sif.search(ratings, UNWRITABLE, settings=TINY, out="run", device="cpu")
    assert run.result["strategy"]["parts"] == UNWRITABLE.describe()
    assert sif.load("run").recommend("u03", 2)
    result = CliRunner().invoke(app, ["search", "--recipe", "run/recipe.toml"])
    assert result.exit_code == 2
    assert "'local' was an object in memory, which no import finds again; put it into a module" in result.stderr
    assert CliRunner().invoke(app, ["train", "run"]).exit_code == 0


def test_a_module_of_ones_own_on_the_command_line(ratings: str, plugin: str):
    options = [
        "--strategy",
        f"{plugin}:slow",
        "--set",
        "strategy.settings.lr=0.01",
        "--set",
        "strategy.settings.label=7",
    ]
    result = CliRunner().invoke(app, ["search", ratings, *sets(TINY), *options, "--out", "run", "--json"])
    assert result.exit_code == 0, result.output
    strategy = json.loads(result.stdout)["strategy"]
    assert (strategy["name"], strategy["settings"]) == (f"{plugin}:slow", {"lr": 0.01, "label": "7"})
    ready = recipe_of(f"{plugin}:ready").make_strategy()
    assert ready.name == "slow"


def test_a_module_beside_the_data_is_found_from_the_folder_it_lies_in(tmp_path: Path, ratings: str):
    """As `sif`, the program, sees it: the working directory is on the path, behind everything else."""
    (tmp_path / "own_beside.py").write_text(MODULE)
    script = "import sys; sys.path[:] = [p for p in sys.path if p]; sys.argv = ['sif', *sys.argv[1:]]; "
    script += "from sif.cli import main; main()"
    command = [sys.executable, "-c", script, "strategies", "show", "own_beside:slow"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=_environment())
    assert result.returncode == 0, result.stderr
    assert "Return softmax with a slow alpha" in result.stdout


def _environment() -> dict[str, str]:
    import os

    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nsap", "unknown strategy 'nsap'; did you mean 'nasp'? There are: nasp, "),
        ("gone.away:x", "there is no module gone; install its package, or put its folder on PYTHONPATH"),
        ("own_strategies:slo", "module own_strategies has no slo; did you mean own_strategies:slow?"),
        ("own_strategies:number", "own_strategies:number is of type int, no strategy: "),
        ("own strategies:slow", "is no name of an object; write package.module:object"),
        (":slow", "is no name of an object; write package.module:object"),
        ("json:loads", "json:loads cannot be made of no settings: "),
    ],
)
def test_a_name_that_leads_nowhere(name: str, words: str, plugin: str):
    with pytest.raises(StrategyError) as caught:
        recipe_of(name).make_strategy()
    assert words in str(caught.value)


def test_settings_of_ones_own_strategy_are_checked(plugin: str):
    for settings, words in (
        ({"strategy.settings.lrr": 1.0}, "has no setting 'lrr'. Did you mean 'lr'?"),
        ({"strategy.settings.lr": "fast"}, 'lr = "fast": input should be a valid number'),
    ):
        with pytest.raises(StrategyError, match=words):
            recipe_of(f"{plugin}:slow", settings).make_strategy()
    with pytest.raises(StrategyError, match="ready' is made already; it takes no settings: lr"):
        recipe_of(f"{plugin}:ready", {"strategy.settings.lr": 1.0}).make_strategy()


def test_own_strategies_race(ratings: str, plugin: str, tmp_path: Path):
    entrants = entrants_of([MINE, UNWRITABLE, f"{plugin}:slow", "random", "nasp"], {f"{plugin}:slow": {"lr": 0.5}})
    assert [entrant.name for entrant in entrants] == [
        "custom (own)",
        "local (own)",
        f"{plugin}:slow",
        "random",
        "nasp",
    ]
    assert [entrant.strategy() for entrant in entrants[:2]] == [MINE, UNWRITABLE]
    changes = [f"{key}={json.dumps(value)}" for key, value in TINY.items()]
    budget = Budget.parse("3epochs")
    problem = recipe_benchmark("ratings-operations", budget, data=ratings, changes=changes, device="cpu")
    result = race(problem, entrants[:4], seeds=1, budget=budget, out=tmp_path / "race")
    assert {row["strategy"]: row["status"] for row in result["rows"]} == {each.name: "done" for each in entrants[:4]}


def test_entry_points_are_names(monkeypatch: pytest.MonkeyPatch, plugin: str):
    from importlib.metadata import EntryPoint

    point = EntryPoint("slow", f"{plugin}:slow", "sif.strategies")
    monkeypatch.setattr("nasp_core.lookup.points_of", lambda kind: [point] if kind == "strategy" else [])
    assert names_of("strategy", {"nasp": nasp}) == ["nasp", "slow"]
    assert recipe_of("slow", {"strategy.settings.lr": 0.5}).make_strategy().gradient.lr == 0.5
    assert [entrant.name for entrant in entrants_of(["slow"])] == ["slow", "random"]


def test_plain_data_make_what_was_written_down():
    for value in (MINE, Random(trials=2), Softmax(), darts, (1, 2.5, "a", None, (3,))):
        assert from_plain(json.loads(json.dumps(to_plain(value)))) == value
    with pytest.raises(TypeError, match="cannot be made again by import"):
        to_plain(UNWRITABLE)
    with pytest.raises(TypeError, match="cannot be made again by import"):
        to_plain(Softmax)  # the class: its name stands for a value of it
    with pytest.raises(RecipeError, match="does not say what it is made by"):
        from_plain({"lr": 3})
    with pytest.raises(RecipeError, match="cannot be made of x"):
        from_plain({"object": "nasp_core.parts:Softmax", "x": 3})
    with pytest.raises(NaspError, match="unknown part 'sofmax'; did you mean 'softmax'"):
        resolve("part", "sofmax", {"softmax": Softmax})


def test_settings_under_their_old_names_are_read():
    old = StrategyRecipe(name="nasp-shortlist", settings={"looks": 9, "shorten": 2.0}).make()
    new = StrategyRecipe(name="nasp-shortlist", settings={"n_supernet_evals": 9, "epoch_divisor": 2.0}).make()
    assert old == new
    with pytest.raises(StrategyError, match="'looks' is the old name of 'n_supernet_evals'; give one"):
        StrategyRecipe(name="spos", settings={"looks": 9, "n_supernet_evals": 8}).make()


def test_a_change_under_an_old_name_replaces_what_the_recipe_says():
    recipe = load_recipe("clicks", ["strategy.settings.looks=4"])
    assert recipe.strategy.settings["n_supernet_evals"] == 4
    assert "looks" not in recipe.strategy.settings

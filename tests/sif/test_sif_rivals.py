"""One list of rivals, and rivals of one's own at every door: recipes, `sif.search`, `sif compare`, `compare_run`."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from sif_samples import TINY
from test_sif_compare_methods import groups
from typer.testing import CliRunner

import sif
from sif.cli import app
from sif.compare import ComparisonConfig, Method, Rival, compare_run, run_method
from sif.compare.isolate import isolated
from sif.errors import RecipeError, RunError
from sif.problems.recipes import load_rating_recipe
from sif.rivals.known import METHODS, RIVALS, rival
from sif.spaces.wide_points import NAMED

MINE = """
import torch

from sif.encodings.sides import SidedNetwork
from sif.rivals import Fitted, Method, Rival, fixed


class Distance(SidedNetwork):
    def join(self, rows, mixture):
        return -(rows[0] - rows[1]).abs().sum(-1)


def fit(table, settings, seed):
    scores = torch.from_numpy(table.counts() ** settings["power"]).float()
    return Fitted(lambda users: scores.expand(len(users), -1), table.n_items)


grid = tuple({"power": power} for power in (0.5, 1.0))
Mine = Rival("mine", "made up", {"pairs": fixed(Distance)}, Method(fit, grid, deterministic=True))
Alone = Rival("alone", "made up", method=Method(fit, grid, deterministic=True))
wrong = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module my_rivals, in the folder where one works."""
    (tmp_path / "my_rivals.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import my_rivals  # type: ignore[import-not-found]

    yield my_rivals
    del sys.modules["my_rivals"]


def test_a_model_is_one_entry_whatever_names_it_has():
    assert RIVALS["mf"] is RIVALS["inner-product"]
    assert set(NAMED) <= set(RIVALS)
    assert all(each.networks or each.method for each in RIVALS.values())
    assert all(each.source for each in RIVALS.values())
    sides = RIVALS["biased-mf"]
    assert (set(sides.networks), METHODS["biased-mf"]) == ({"pairs", "lists"}, sides.method)


def test_a_rival_of_ones_own_stands_in_a_run_as_object_and_by_name(mine: Any, ratings: str):
    settings = TINY | {"search.epochs": 2, "train.epochs": 2, "baselines.random": False}
    rows = [
        sif.search(
            ratings, recipe="ratings-operations", settings=settings | {"baselines.names": names}, device="cpu"
        ).result["rows"]
        for names in ([mine.Mine, "biases"], ["my_rivals:Mine", "biases"])
    ]
    assert rows[0]["my_rivals:Mine"]["test"] == rows[1]["my_rivals:Mine"]["test"]
    assert list(rows[0]) == ["found", "my_rivals:Mine", "biases"]
    nested = sif.search(
        ratings, recipe="ratings-operations", settings=settings | {"baselines": {"names": [mine.Mine]}}, device="cpu"
    )
    assert "my_rivals:Mine" in nested.result["rows"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("my_rivals:Mein", "module my_rivals has no Mein; did you mean my_rivals:Mine?"),
        ("my_rivals:wrong", "rival my_rivals:wrong is 3; make it a sif.rivals.Rival"),
        (
            "my_rivals:Alone",
            "rival 'my_rivals:Alone' has no network for task rating in space interaction; `sif compare",
        ),
        ("ease", "`sif compare RUN --with ease` has it"),
        ("gmf", "rival 'gmf' has no network for task rating in space interaction. There are: "),
        ("biased_mf", "unknown rival 'biased_mf'; did you mean"),
    ],
)
def test_what_cannot_stand_in_a_run_is_refused_in_words(name: str, why: str, mine: Any, ratings: str):
    with pytest.raises(RecipeError) as refused:
        sif.search(ratings, recipe="ratings-operations", settings=TINY | {"baselines.names": [name]}, device="cpu")
    assert why.replace(". There", "; There") in str(refused.value).replace(". There", "; There")


def test_a_process_of_its_own_finds_the_module_of_a_rival(mine: Any, tmp_path: Path):
    groups().save(tmp_path / "table.npz")
    config = ComparisonConfig(budget=5.0, seeds=(0,))
    state = isolated({"rival": "my_rivals:Mine"}, config, tmp_path / "table.npz")
    assert state["valid"] == run_method(mine.Mine.method, groups(), config)["valid"]
    assert len(state["trials"]) == 2


def test_ones_own_is_compared_by_name_and_as_object_and_anew_when_its_file_changes(
    mine: Any, run_copy: Path, in_process: list[str]
):
    words = ["compare", str(run_copy), "--with", "popularity,my_rivals:Mine", "--budget", "5", "--seeds", "1", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    row = json.loads(done.stdout)["rows"][2]
    assert (row["name"], row["status"], row["points"], row["source"]) == ("my_rivals:Mine", "done", 2, "made up")
    result = compare_run(run_copy, ["popularity", mine.Mine], budget=5.0, seeds=1)
    assert (result["rows"][2], in_process) == (row, ["found", "popularity", "my_rivals:Mine"])
    Path("my_rivals.py").write_text(MINE + "\n")
    compare_run(run_copy, [mine.Mine], budget=5.0, seeds=1)
    assert in_process[3:] == ["my_rivals:Mine"]


def test_an_object_that_no_module_holds_runs_in_this_process_and_its_row_says_so(
    mine: Any, run_copy: Path, in_process: list[str]
):
    def fail(table: Any, settings: Any, seed: int) -> Any:
        raise ValueError("no luck")

    free = [Rival("free", "made up", method=mine.Alone.method), Rival("broken", "made up", method=Method(fail))]
    result = compare_run(run_copy, free, budget=5.0, seeds=1)
    found, done, broken = result["rows"]
    assert (done["name"], done["status"], done["peak_memory_mb"]) == ("free", "done", None)
    assert "ran in this one" in done["note"]
    assert (broken["status"], broken["reason"]) == ("not run", "it failed: ValueError: no luck")
    assert found["versus"] is None
    assert in_process == ["found"]


def test_all_that_cannot_be_compared_is_told_at_once(mine: Any, run_copy: Path):
    with pytest.raises(RunError) as refused:
        compare_run(run_copy, [3, "my_rivals:wrong", "eas", "plus", mine.Mine, mine.Mine])  # type: ignore[list-item]
    for words in (
        "rival 3 is 3; make it a sif.rivals.Rival",
        "rival my_rivals:wrong is 3",
        "unknown rival 'eas'; did you mean 'ease'?",
        'search with baselines.names = ["plus"]',
        "rival my_rivals:Mine is given 2 times",
    ):
        assert words in str(refused.value)


def test_the_way_out_that_is_printed_works(ratings: str):
    """`plus` is sent to a run's recipe, and there it is."""
    assert "plus" in load_rating_recipe("ratings-operations", ['baselines.names = ["plus"]']).baselines.names
    assert rival("plus").baseline("pairs") is not None

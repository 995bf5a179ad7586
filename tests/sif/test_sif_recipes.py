"""Recipes: closed and typed, all problems at once with their lines; every one that ships is validated and run."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sif_samples import TINY, planted_rows, sets, text_of

import sif
from sif.errors import RecipeError
from sif.problems import check_recipe
from sif.recipes import Recipe, load_recipe, parse_recipe, recipe_names, recipe_text
from sif.toml import dump_toml

BAD = """\
task = "rating"
seed = -1

[space]
embeding_dim = 8
hidden = "eight"

[strategy]
name = "nsap"

[train]
epochs = 0

[train.optimiser]
kind = "adams"
momentun = 0.9

[trian]
epochs = 3
"""


def refused(text: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        check_recipe(parse_recipe(text, "own.toml", overrides))
    return str(caught.value)


def test_all_problems_are_reported_at_once():
    assert refused(BAD) == (
        "own.toml has 7 problems\n"
        "  line 2  seed = -1: input should be greater than or equal to 0\n"
        "  line 5  unknown key space.embeding_dim. Did you mean space.embedding_dim?\n"
        "  line 6  space.hidden = 'eight': input should be a valid integer, unable to parse string as an integer\n"
        "  line 12  train.epochs = 0: input should be greater than or equal to 1\n"
        "  line 15  train.optimiser.kind = 'adams': input should be 'adagrad', 'adam' or 'sgd'\n"
        "  line 16  unknown key train.optimiser.momentun. Did you mean train.optimiser.momentum?\n"
        "  line 18  unknown key trian. Did you mean train?"
    )


def test_all_that_does_not_fit_is_reported_at_once():
    text = (
        '[space]\nname = "tensor-interaction"\noperations = ["add"]\n[strategy]\nname = "nsap"\n'
        '[baselines]\nnames = ["mf"]\n'
    )
    first, *problems = refused(text).splitlines()
    assert first == "own.toml has 4 problems"
    assert [problem.split(":")[0] for problem in problems] == [
        '  line 2  space.name = "tensor-interaction"',
        '  line 7  baselines.names = ["mf"]',
        '  line 5  strategy.name = "nsap"',
        '  line 3  space.operations = ["add"]',
    ]


def test_places_of_dotted_keys_inline_tables_and_overrides():
    assert "  line 1  train.epochs = 0: " in refused("train.epochs = 0\n")
    assert "  line 2  train.epochs = 0: " in refused("seed = 1\ntrain = {epochs = 0}\n")
    assert "  --set train.epochs=0  train.epochs = 0: " in refused("train.epochs = 5\n", "train.epochs=0")


def test_text_that_is_not_toml(tmp_path: Path):
    assert refused("a b\n").startswith("own.toml is not TOML: ")
    (tmp_path / "own.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match=r"own\.toml is not TOML: it is not UTF-8 text"):
        load_recipe(tmp_path / "own.toml")


def test_overrides_are_toml_or_plain_text():
    recipe = parse_recipe(
        "", "own.toml", ["seed=3", "space.operations=['max']", "train.keep_best=true", "dataset=a.csv"]
    )
    assert (recipe.seed, recipe.space.operations, recipe.train.keep_best, recipe.dataset) == (
        3,
        ("max",),
        True,
        "a.csv",
    )


RATINGS = [name for name in recipe_names() if isinstance(load_recipe(name), Recipe)]
CELLS = [name for name in recipe_names() if name not in RATINGS]


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_is_sound_and_says_how_to_run_it(name: str):
    if name in RATINGS:
        check_recipe(load_recipe(name))
    for budget in ("smoke", "quick", "full") if name in CELLS else ():
        check_recipe(load_recipe(name, budget=budget))
    header = [line for line in recipe_text(name).splitlines() if line.startswith("#")]
    assert any(f"sif search {'mine.csv' if name == 'ratings' else name}" in line for line in header)
    assert recipe_names() == sorted(recipe_names())


TWO_STEPS: dict[str, Any] = {
    "search.epochs": 1,
    "search.batch_size": 75,
    "train.epochs": 1,
    "train.batch_size": 75,
    "space.embedding_dim": 4,
    "tune.l2": [0.1],
    "tune.embedding_dim": [],
    "baselines.enumerate": False,
}


@pytest.mark.parametrize("name", RATINGS)
def test_a_shipped_recipe_runs_for_two_steps(name: str, tmp_path: Path):
    """With all of its baselines, on planted ratings in place of its own data."""
    (tmp_path / "mine.csv").write_text(text_of(planted_rows()))
    settings = TWO_STEPS | ({"strategy.settings.finalists": 4} if "ranked" in recipe_text(name) else {})
    run = sif.search(tmp_path / "mine.csv", recipe=name, settings=settings, device="cpu")
    names = load_recipe(name).baselines.names
    assert set(run.result["rows"]) == {"found", *names, "random-search"}
    assert run.result["metrics"]["test"][run.result["metric"]] > 0
    assert run.path.joinpath("recipe.toml").is_file()


@pytest.mark.parametrize("name", RATINGS)
def test_a_resolved_recipe_reads_back_as_it_was(name: str):
    recipe = load_recipe(name, ["split.seed=4", "train.optimiser.clip=2.5", "columns.user=a.b"])
    again = parse_recipe(dump_toml(recipe.model_dump()), "again")
    assert again == recipe
    assert again.model_dump() == recipe.model_dump()


keys = st.text("abcdefghijklmnopqrstuvwxyz_-0123456789", min_size=1)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.booleans() | numbers | texts
values = (
    scalars | st.lists(texts) | st.lists(st.floats(allow_nan=False, allow_infinity=False)) | st.lists(st.integers())
)


@given(st.recursive(st.dictionaries(keys, values), lambda inner: st.dictionaries(keys, values | inner), max_leaves=12))
def test_toml_round_trips(data: dict[str, Any]):
    assert tomllib.loads(dump_toml(data)) == data


def test_none_is_written_as_text_and_read_back():
    assert dump_toml({"a": None, "b": {"c": None, "d": 1}}) == 'a = "none"\n\n[b]\nc = "none"\nd = 1\n'
    recipe = Recipe.model_validate({"space": {"max_norm": "none"}, "train": {"patience": "none"}})
    assert recipe.settings().max_norm is None
    assert Recipe.model_validate(tomllib.loads(dump_toml(recipe.model_dump()))) == recipe
    unset = parse_recipe("[train]\npatience = 3\nkeep_best = true\n", "recipe", ["train.patience=none"])
    assert unset.training("train").patience is None


def test_defaults_are_those_of_the_core():
    from nasp_core.optimise import Training
    from sif.spaces.interaction import InteractionSettings

    recipe = Recipe()
    assert recipe.settings() == InteractionSettings()
    assert recipe.training("search") == recipe.training("train") == Training()


def test_settings_of_the_library_are_those_of_the_command_line(tmp_path: Path):
    (tmp_path / "mine.csv").write_text(text_of(planted_rows()))
    run = sif.search(tmp_path / "mine.csv", "darts", settings=TINY, seed=3, device="cpu")
    written = load_recipe(run.path / "recipe.toml")
    assert written == load_recipe(
        "ratings",
        [*sets(TINY)[1::2], "strategy.name=darts", "seed=3", f"dataset={json.dumps(str(tmp_path / 'mine.csv'))}"],
    )


def test_another_strategy_does_not_take_over_the_settings_of_the_recipes_own():
    own = load_recipe("movielens-paper")
    assert own.strategy.settings == {"alpha_lr": 3e-4, "epoch_divisor": 10.0}
    other = load_recipe("movielens-paper", ["strategy.name=nasp", "strategy.settings.noise=0.1"])
    assert (other.strategy.name, other.strategy.settings) == ("nasp", {"noise": 0.1})
    same = load_recipe("movielens-paper", ["strategy.name=nasp-ranked"])
    assert same.strategy.settings == own.strategy.settings

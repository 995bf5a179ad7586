"""Recipes: closed and typed, all problems at once with their lines; every one that ships is validated and run."""

import json
import tomllib
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sif_samples import TINY, planted_rows, sets, text_of

import sif
from nasp_core.optimise import Optimiser
from sif.errors import RecipeError
from sif.problems import check_recipe
from sif.problems.recipes import Recipe
from sif.recipes import changes_of, load_recipe, parse_recipe, recipe_names, recipe_text
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
    assert any(f"sif search {'mine.csv' if name.startswith('ratings') else name}" in line for line in header)
    assert recipe_names() == sorted(recipe_names())


TWO_STEPS: dict[str, Any] = {
    "search.epochs": 1,
    "search.batch_size": 75,
    "search.min_steps": 0,
    "train.epochs": 1,
    "train.batch_size": 75,
    "train.min_steps": 0,
    "space.embedding_dim": 4,
    "tune.l2": [0.1],
    "tune.embedding_dim": [],
    "baselines.enumerate": False,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RATINGS)
def test_a_shipped_recipe_runs_for_two_steps(name: str, tmp_path: Path):
    """With all of its baselines, on planted ratings in place of its own data."""
    (tmp_path / "mine.csv").write_text(text_of(planted_rows()))
    settings = TWO_STEPS | ({"strategy.settings.finalists": 4} if "ranked" in recipe_text(name) else {})
    run = sif.search(tmp_path / "mine.csv", recipe=name, settings=settings, device="cpu")
    beside = load_recipe(name).baselines
    drawn = ["random-search"] if beside.random else []
    assert set(run.result["rows"]) == {"found", *beside.names, *drawn}
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


TEXTS: dict[str, tuple[str, Any]] = {
    "columns.item=2020": ("columns", {"item": "2020"}),
    "columns.user=true": ("columns", {"user": "true"}),
    "columns.user=1": ("columns", {"user": "1"}),
    'columns.user="1"': ("columns", {"user": "1"}),
    "columns.user=2020-01-01": ("columns", {"user": "2020-01-01"}),
    "columns.user=none": ("columns", {"user": "none"}),
    "dataset=2024": ("dataset", "2024"),
    "dataset=a=b.csv": ("dataset", "a=b.csv"),
    "dataset=5 #1.csv": ("dataset", "5 #1.csv"),
    r"dataset=C:\new\1.csv": ("dataset", r"C:\new\1.csv"),
    "seed=1e3": ("seed", 1000),
    "seed= 7 ": ("seed", 7),
    "train.patience=none": ("train.patience", None),
    "baselines.names=[mf, 'biases']": ("baselines.names", ("mf", "biases")),
    "baselines.names=[2020]": ("baselines.names", ("2020",)),
    "baselines.names=[]": ("baselines.names", ()),
    "space.operations=[max,min]": ("space.operations", ("max", "min")),
    "train={epochs = 3}": ("train.batch_size", 512),
    "columns={user='u', item='i'}": ("columns", {"user": "u", "item": "i"}),
    "baselines.random=False": ("baselines.random", False),
}


@pytest.mark.parametrize("typed", TEXTS)
def test_a_typed_value_is_read_by_the_type_of_its_key(typed: str):
    """A shell takes quotes away: text that looks like a number, a date or a truth value is text where text belongs."""
    key, expected = TEXTS[typed]
    recipe = load_recipe("ratings-operations", [typed])
    value: Any = recipe.model_dump()
    for part in key.split("."):
        value = value[part]
    assert value == expected


@pytest.mark.parametrize("typed", ["seed=true", "train.epochs=false", "train.optimiser.betas=[true, 0.9]"])
def test_true_is_no_number(typed: str):
    key, _, value = typed.partition("=")
    assert f"--set {typed}  {key} = " in refused("", typed)
    assert "give a number, not true or false" in refused("", typed)
    assert "give a number, not true or false" in refused(f"{key} = {value}\n")


class Kind(Enum):
    ADAM = "adam"


PYTHON: list[tuple[dict[str, Any], str, Any]] = [
    ({"train.epochs": np.int64(2)}, "train.epochs", 2),
    ({"train.epochs": np.array(2)}, "train.epochs", 2),
    ({"train.epochs": torch.tensor(2)}, "train.epochs", 2),
    ({"train.epochs": Decimal(2)}, "train.epochs", 2),
    ({"train.optimiser.learning_rate": np.float32(0.5)}, "train.optimiser.learning_rate", 0.5),
    ({"train.optimiser.learning_rate": Fraction(1, 2)}, "train.optimiser.learning_rate", 0.5),
    ({"train.optimiser.learning_rate": Decimal("0.5")}, "train.optimiser.learning_rate", 0.5),
    ({"train.optimiser.kind": Kind.ADAM}, "train.optimiser.kind", "adam"),
    ({"baselines.random": np.bool_(False)}, "baselines.random", False),
    ({"dataset": Path("a.csv")}, "dataset", "a.csv"),
    ({"dataset": np.str_("2020")}, "dataset", "2020"),
    ({"train.patience": None}, "train.patience", None),
    ({"tune.l2": np.array([0.5, 1.0])}, "tune.l2", (0.5, 1.0)),
    ({"tune.l2": (0.5, np.float64(1.0))}, "tune.l2", (0.5, 1.0)),
    ({"space.operations": {"min", "max"}}, "space.operations", ("max", "min")),
    ({"columns": {"user": "u"}}, "columns", {"user": "u"}),
    ({"train": {"epochs": np.int32(2), "optimiser": {"kind": "adam"}}}, "train.epochs", 2),
    ({"train": {"epochs": np.int32(2)}}, "train.batch_size", 512),
    ({"train": {"optimiser": Optimiser(kind="sgd", momentum=0.5)}}, "train.optimiser.momentum", 0.5),
    ({"strategy": "darts"}, "strategy.name", "darts"),
    ({"strategy": {"name": "darts"}}, "strategy.name", "darts"),
]


@pytest.mark.parametrize(("settings", "key", "expected"), PYTHON)
def test_settings_take_what_python_programs_hold(settings: dict[str, Any], key: str, expected: Any):
    recipe = load_recipe("ratings-operations", changes_of(settings))
    value: Any = recipe.model_dump()
    for part in key.split("."):
        value = value[part]
    assert value == expected
    assert type(value) is type(expected)
    assert parse_recipe(dump_toml(recipe.model_dump()), "again") == recipe


def test_what_cannot_be_a_setting_is_named_with_its_key():
    for settings, words in (
        ({"train.epochs": object()}, "train.epochs = <object object"),
        ({"train.epochs": np.eye(2)}, "train.epochs = array("),
        ({"dataset": b"a.csv"}, "dataset = b'a.csv' of type bytes"),
        ({"a": print, "b": b""}, "the call has 2 problems"),
        ({3: 4}, "3 is no key"),
        ({"train.epochs": float("nan")}, "settings  train.epochs = nan: "),
        ({"space.l2": np.float32("inf")}, "settings  space.l2 = inf: "),
        ({"train.epochs": None}, "settings  train.epochs = None: "),
        ({"train.epochs": np.bool_(True)}, "settings  train.epochs = True: give a number"),
        ([1], "settings = [1]; give a dict"),
    ):
        with pytest.raises(RecipeError) as caught:
            load_recipe("ratings-operations", changes_of(settings))  # type: ignore[arg-type]
        assert words in str(caught.value)
    with pytest.raises(RecipeError, match="strategy is of type object, no strategy"):
        sif.search("gone.csv", strategy=object())


def test_what_the_recipe_gave_for_another_choice_is_left_out():
    """Another loss, optimiser, split or space: its own values stay, those that it has no use for go."""
    for loss in ("bpr", "bce"):
        recipe = load_recipe("clicks", [f"ranking.loss={loss}"])
        check_recipe(recipe)
        assert recipe.ranking.hidden_share == 0.5
    assert load_recipe("clicks", ["ranking.loss=softmax"]).ranking.hidden_share == 0.85
    assert load_recipe("ratings", ["train.optimiser.kind=sgd"]).train.optimiser.betas == (0.9, 0.999)
    constant = load_recipe("cifar10", ["search.optimiser.schedule=constant"], "full")
    assert constant.search.optimiser.final_learning_rate == 0.0
    wide = load_recipe("movielens-operations", ["space.name=interaction-wide"])
    check_recipe(wide)
    assert (wide.space.l2, wide.space.embedding_dim) == (0.03, 16)
    last = load_recipe("ratings", ["split.kind=leave-last-out"])
    assert parse_recipe(dump_toml(last.model_dump()), "again") == last
    sampled = refused_of("clicks", "ranking.loss=sampled-softmax")
    assert "negatives = 1 with sampled-softmax; draw 2 items or more: --set ranking.negatives=100" in sampled
    check_recipe(load_recipe("clicks", ["ranking.loss=sampled-softmax", "ranking.negatives=100"]))


def refused_of(name: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        check_recipe(load_recipe(name, overrides))
    return str(caught.value)


UNUSED = {
    "clicks ranking.loss=bpr ranking.hidden_share=0.3": "ranking.loss=softmax",
    "clicks ranking.negatives=3": "ranking.loss=bce",
    "ratings train.optimiser.momentum=0.5": "train.optimiser.kind=sgd",
    "ratings train.optimiser.kind=sgd train.optimiser.betas=[0.5,0.9]": "train.optimiser.kind=adam",
    "ratings split.kind=leave-last-out split.fractions=[0.7,0.2,0.1]": "split.kind=random",
}


@pytest.mark.parametrize("given", UNUSED)
def test_what_the_user_gave_for_another_choice_is_refused_and_the_fix_works(given: str):
    name, *overrides = given.split()
    text = refused_of(name, *overrides)
    assert f"  --set {overrides[-1]}  " in text
    assert "has no use for it; leave it out, or use" in text
    assert UNUSED[given] in text
    check_recipe(load_recipe(name, overrides[:-1]))
    check_recipe(load_recipe(name, [*overrides, UNUSED[given]]))

"""Budgets: what they change, that overrides go over them, and that a run can go back to the full one."""

import pytest

from sif.cells.recipes import CellRecipe
from sif.errors import RecipeError
from sif.recipes import load_recipe, parse_recipe, recipe_names
from sif.toml import dump_toml

TEXT = """\
task = "image"
dataset = "mine"
budget = "quick"

[space]
name = "conv-cell"
channels = 16

[search]
epochs = 50

[train]
evaluate_every = 0

[budgets.quick]
space = {channels = 8}
search = {epochs = 2}

[budgets.smoke.search]
epochs = 1
"""


def cells(text: str = TEXT, *overrides: str, budget: str = "") -> CellRecipe:
    recipe = parse_recipe(text, "own.toml", overrides, budget)
    assert isinstance(recipe, CellRecipe)
    return recipe


def figures(recipe: CellRecipe) -> tuple[str, int, int]:
    return recipe.budget, recipe.space.channels, recipe.search.epochs


def refused(text: str, *overrides: str, budget: str = "") -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "own.toml", overrides, budget)
    return str(caught.value)


def test_a_budget_changes_what_it_names():
    assert figures(cells()) == ("quick", 8, 2)
    assert figures(cells(budget="smoke")) == ("smoke", 16, 1)
    assert figures(cells(budget="full")) == ("full", 16, 50)
    assert figures(cells(TEXT, "budget=smoke")) == ("smoke", 16, 1)
    assert figures(cells(TEXT.replace('budget = "quick"\n', ""))) == ("full", 16, 50)


@pytest.mark.parametrize("budget", ["quick", "smoke", "full"])
@pytest.mark.parametrize("override", ["", "space.channels=4", "search.epochs=7", "space.nodes=3"])
def test_a_resolved_recipe_says_the_same_and_goes_back_to_full(budget: str, override: str):
    recipe = cells(TEXT, *[override] * bool(override), budget=budget)
    text = dump_toml(recipe.model_dump())
    assert cells(text) == recipe
    full = figures(cells(text, budget="full"))
    kept = budget == "full" or (override == "space.channels=4" and budget == "smoke")
    channels = 4 if override == "space.channels=4" and budget == "full" else 16
    epochs = 7 if override == "search.epochs=7" and budget == "full" else 50
    assert kept or full == ("full", channels, epochs)


def test_an_override_goes_over_the_budget():
    assert figures(cells(TEXT, "space.channels=4", "search.epochs=3")) == ("quick", 4, 3)


def test_another_strategy_leaves_the_settings_of_the_recipes_own():
    recipe = load_recipe("cifar10", ['strategy.name="darts"'], budget="quick")
    assert recipe.strategy.settings == {}
    assert load_recipe("cifar10", budget="quick").strategy.settings["alpha_lr"] == 3e-3
    assert load_recipe("cifar10", budget="full").strategy.settings["alpha_lr"] == 3e-4


def test_what_a_budget_may_not_do():
    assert refused(TEXT, budget="quik") == (
        "own.toml has no budget 'quik'. Did you mean quick? There are: full, quick, smoke"
    )
    assert refused(TEXT.replace("epochs = 50\n", "")) == (
        "own.toml: line 16  budgets.quick changes search.epochs = 2, which the recipe does not state; "
        "state search.epochs itself too"
    )
    assert refused(TEXT + "[budgets.big]\nseed = 3\n").startswith(
        "own.toml: line 22  budgets.big may not change seed: only pictures, text, "
    )


def test_a_wrong_value_of_a_budget_is_told_with_its_line():
    text = refused(TEXT.replace("channels = 8", 'channels = "eight"'))
    assert text.startswith("own.toml has 1 problem\n  line 16  space.channels = 'eight': input should be ")


@pytest.mark.parametrize("name", [name for name in recipe_names() if isinstance(load_recipe(name), CellRecipe)])
def test_shipped_budgets(name: str):
    """All three are there, quick is the default, and the full one is what the recipe itself states."""
    recipe = load_recipe(name)
    assert isinstance(recipe, CellRecipe)
    assert recipe.budget == "quick"
    assert {"smoke", "quick", "full"} == set(recipe.budgets)
    epochs = [load_recipe(name, budget=budget).search.epochs for budget in ("smoke", "quick", "full")]
    assert epochs == sorted(epochs)
    assert epochs[-1] == 50

"""Recipes: one TOML file holds every value of a run. Closed and typed; all problems are reported at once."""

from sif.recipes.base import BaseRecipe
from sif.recipes.cells import CellRecipe, ConvCellRecipe, NasBench201Recipe, RecurrentCellRecipe
from sif.recipes.load import (
    changes_of,
    load_rating_recipe,
    load_recipe,
    parse_recipe,
    recipe_names,
    recipe_text,
)
from sif.recipes.rating import RankingRecipe, Recipe, WideRecipe

__all__ = [
    "BaseRecipe",
    "CellRecipe",
    "ConvCellRecipe",
    "NasBench201Recipe",
    "RankingRecipe",
    "Recipe",
    "RecurrentCellRecipe",
    "WideRecipe",
    "changes_of",
    "load_rating_recipe",
    "load_recipe",
    "parse_recipe",
    "recipe_names",
    "recipe_text",
]

"""Recipes: one TOML file holds every value of a run. Closed and typed; all problems are reported at once."""

from typing import TYPE_CHECKING

from sif.lazy import lazy
from sif.recipes.shipped import recipe_names, recipe_text

if TYPE_CHECKING:
    from sif.recipes.base import BaseRecipe
    from sif.recipes.cells import CellRecipe, ConvCellRecipe, NasBench201Recipe, RecurrentCellRecipe
    from sif.recipes.changes import Change, changes_of
    from sif.recipes.load import load_rating_recipe, load_recipe, parse_recipe
    from sif.recipes.rating import RankingRecipe, Recipe, WideRecipe

__all__ = [
    "BaseRecipe",
    "CellRecipe",
    "Change",
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

_CELLS = ("CellRecipe", "ConvCellRecipe", "NasBench201Recipe", "RecurrentCellRecipe")
__getattr__ = lazy(
    __name__,
    {
        "BaseRecipe": "sif.recipes.base",
        **dict.fromkeys(_CELLS, "sif.recipes.cells"),
        **dict.fromkeys(("Change", "changes_of"), "sif.recipes.changes"),
        **dict.fromkeys(("load_rating_recipe", "load_recipe", "parse_recipe"), "sif.recipes.load"),
        **dict.fromkeys(("RankingRecipe", "Recipe", "WideRecipe"), "sif.recipes.rating"),
    },
)

"""Recipes: one TOML file holds every value of a run. Closed and typed; all problems are reported at once."""

from typing import TYPE_CHECKING

from sif.lazy import lazy
from sif.recipes.shipped import recipe_names, recipe_text

if TYPE_CHECKING:
    from sif.recipes.base import BaseRecipe
    from sif.recipes.changes import Change, changes_of
    from sif.recipes.load import load_recipe, parse_recipe

__all__ = ["BaseRecipe", "Change", "changes_of", "load_recipe", "parse_recipe", "recipe_names", "recipe_text"]

__getattr__ = lazy(
    __name__,
    {
        "BaseRecipe": "sif.recipes.base",
        **dict.fromkeys(("Change", "changes_of"), "sif.recipes.changes"),
        **dict.fromkeys(("load_recipe", "parse_recipe"), "sif.recipes.load"),
    },
)

"""Problems: rating, ranking, pictures, text; a recipe names its own as `task`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sif.recipes.problems import BUILT_IN, problem, problem_of

if TYPE_CHECKING:
    from pathlib import Path

    from sif.problems.base import Instance
    from sif.recipes.base import BaseRecipe

__all__ = ["BUILT_IN", "check_recipe", "open_recipe", "problem", "problem_of"]


def check_recipe(recipe: BaseRecipe) -> None:
    """Build everything a recipe names, without data; raises `RecipeError` listing all that does not fit."""
    problem_of(recipe).check(recipe)


def open_recipe(recipe: BaseRecipe, *, source: Any = None, device: str = "auto", root: Path | None = None) -> Instance:
    """Check a recipe, then read, check and cut its data (see `Problem.open`).

    Args:
        recipe: The recipe.
        source: Data in memory, instead of those that the recipe names.
        device: `auto`, `cpu` or `cuda`.
        root: Folder of data sets.
    """
    chosen = problem_of(recipe)
    chosen.check(recipe)
    opened: Instance = chosen.open(recipe, source=source, device=device, root=root)
    return opened

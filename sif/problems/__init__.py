"""Problems: rating, ranking, pictures, text; a recipe names its own as `task`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from sif.errors import RecipeError

if TYPE_CHECKING:
    from pathlib import Path

    from sif.problems.base import Instance, Problem
    from sif.recipes.base import BaseRecipe

__all__ = ["BUILT_IN", "check_recipe", "open_recipe", "problem", "problem_of"]

BUILT_IN = {
    "rating": "sif.problems.rating:RATING",
    "ranking": "sif.problems.ranking:RANKING",
    "image": "sif.cells.problems:IMAGE",
    "text": "sif.cells.problems:TEXT",
}
"""Name -> where the problem lies; nothing of it is imported before it is asked for."""


def problem(name: str) -> Problem:
    """Return the problem of a name.

    Args:
        name: one that ships, an entry point of the group `sif.problems`, or `package.module:object`.

    Raises:
        RecipeError: there is no such problem.
    """
    where = BUILT_IN.get(name, name)
    if ":" not in where:
        installed = {point.name: point.value for point in entry_points(group="sif.problems")}
        if where not in installed:
            known = ", ".join([*BUILT_IN, *installed])
            raise RecipeError(f"task = {name!r}: there are {known}, or package.module:object")
        where = installed[where]
    module, _, attribute = where.partition(":")
    try:
        found: Any = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"task = {name!r} cannot be imported: {error}") from None
    made: Problem = found
    return made


def problem_of(recipe: BaseRecipe) -> Problem:
    """Return the problem of a recipe."""
    return problem(recipe.task)


def check_recipe(recipe: BaseRecipe) -> None:
    """Build everything a recipe names, without data; raises `RecipeError` listing all that does not fit."""
    problem_of(recipe).check(recipe)


def open_recipe(recipe: BaseRecipe, *, source: Any = None, device: str = "auto", root: Path | None = None) -> Instance:
    """Check a recipe, then read, check and cut its data (see `Problem.open`)."""
    chosen = problem_of(recipe)
    chosen.check(recipe)
    return chosen.open(recipe, source=source, device=device, root=root)

"""The problem that a recipe names as its `task`: one that ships, an entry point, or `package.module:object`."""

from __future__ import annotations

from typing import Any

from sif.errors import RecipeError
from sif.extend import resolve

__all__ = ["BUILT_IN", "problem", "problem_of"]

BUILT_IN = {
    "rating": "sif.problems.rating:RATING",
    "ranking": "sif.problems.ranking:RANKING",
    "image": "sif.cells.problems:IMAGE",
    "text": "sif.cells.problems:TEXT",
}
"""Name -> where the problem lies; nothing of it is imported before it is asked for."""


def problem(name: str) -> Any:
    """Return the problem (`sif.problems.base.Problem`) of a name; raises `RecipeError` with the nearest name."""
    return resolve("problem", BUILT_IN.get(name, name), None if name in BUILT_IN else BUILT_IN, RecipeError)


def problem_of(recipe: Any) -> Any:
    """Return the problem of a recipe."""
    return problem(recipe.task)

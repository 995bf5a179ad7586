"""The problem that a recipe names as its `task`: one that ships, an entry point, or `package.module:object`."""

from typing import Any

from sif.errors import RecipeError
from sif.extend import object_name, resolve

__all__ = ["BUILT_IN", "ON_TABLES", "problem", "problem_name", "problem_of"]

ON_TABLES = {
    "rating": "sif.problems.rating:RATING",
    "ranking": "sif.problems.ranking:RANKING",
}
"""The tasks on tables of users and items: name -> where the problem lies."""
BUILT_IN = ON_TABLES | {
    "image": "sif.cells.problems:IMAGE",
    "text": "sif.cells.problems:TEXT",
}
"""All tasks that ship; nothing of a problem is imported before it is asked for."""
_OF_A_PROBLEM = ("name", "what", "recipes", "check", "open", "sheet", "export")


def problem(name: str) -> Any:
    """Return the problem (`sif.problems.base.Problem`) of a name; raises `RecipeError` with the nearest name."""
    return _checked(
        name, resolve("problem", BUILT_IN.get(name, name), None if name in BUILT_IN else BUILT_IN, RecipeError)
    )


def _checked(given: Any, found: Any) -> Any:
    try:
        made = found() if isinstance(found, type) else found
    except TypeError as error:
        raise RecipeError(f"problem {given!r} cannot be made without arguments: {error}") from error
    missing = [name for name in _OF_A_PROBLEM if not hasattr(made, name)]
    if missing:
        raise RecipeError(
            f"problem {given!r} is of type {type(made).__name__}, and has no {', '.join(missing)}; "
            "make it an object of a subclass of sif.problems.base.Problem"
        )
    return made


def problem_name(given: Any) -> str:
    """Return the name by which a recipe finds a problem again; raises `RecipeError` where none does."""
    if isinstance(given, str):
        return given
    made = _checked(given, given)
    name = made.name if made.name in BUILT_IN and problem(made.name) is made else object_name(given)
    if name is None:
        kind = type(made)
        raise RecipeError(
            f"problem {given!r} cannot be found again by name, so no recipe could say what it is: "
            f"give it a name in its module ({kind.__module__}), as MINE = {kind.__qualname__}(...)"
        )
    return str(name)


def problem_of(recipe: Any) -> Any:
    """Return the problem of a recipe."""
    return problem(recipe.task)

"""The recipe that suits a table where none is given: what the feedback is decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sif.datasets.feedback import NotRatings
from sif.errors import RecipeError
from sif.problems import open_recipe
from sif.problems.tables import TableInstance
from sif.recipes.load import load_recipe

if TYPE_CHECKING:
    from sif.problems.base import Instance

__all__ = ["RANKED", "RATED", "open_suited"]

RATED, RANKED = "ratings", "clicks"
"""The recipe of ratings, and that of every other kind of feedback."""


def open_suited(make: Callable[[str], Any], keys: Sequence[str], **opening: Any) -> Instance:
    """Open the recipe `ratings` on ratings, and `clicks` on every other feedback.

    Args:
        make: From the name of a recipe to the recipe, with what the caller changes.
        keys: The keys that the caller changes; those that `clicks` alone has ask for it, and a task is heeded.
        opening: What `open_recipe` takes.

    Raises:
        RecipeError: The changes do not go with the recipe that the feedback asks for.
        DataError: As `open_recipe`.
    """
    why = ""
    if "task" in keys:
        return open_recipe(make(RATED), **opening)
    fields = [set(type(load_recipe(name)).model_fields) for name in (RATED, RANKED)]
    if not {key.partition(".")[0] for key in keys} & (fields[1] - fields[0]):
        try:
            opened = open_recipe(make(RATED), **opening)
        except NotRatings as error:
            why = str(error)
        else:
            if not isinstance(opened, TableInstance) or opened.data.interactions.feedback.kind == "ratings":
                return opened
            why = str(opened.data.interactions.feedback)
    try:
        ranked = make(RANKED)
    except RecipeError as error:
        raise RecipeError(f"{error}\n  {RANKED} is the recipe because: {why}" if why else str(error)) from None
    return open_recipe(ranked, **opening)

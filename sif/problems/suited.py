"""The recipe that suits a table where none is given: what the feedback is decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sif.datasets.feedback import NotRatings
from sif.errors import RecipeError, SifError
from sif.problems import open_recipe, problem_of
from sif.problems.tables import TableInstance

if TYPE_CHECKING:
    from sif.problems.base import Instance

__all__ = ["RANKED", "RATED", "open_suited"]

RATED, RANKED = "ratings", "clicks"
"""The recipe of ratings, and that of every other kind of feedback."""


def open_suited(make: Callable[[str], Any], keys: Sequence[str], **opening: Any) -> Instance:
    """Open the recipe `ratings` on ratings, and `clicks` on every other feedback, and for a task that ranks.

    Args:
        make: From the name of a recipe to the recipe, with what the caller changes.
        keys: The keys that the caller changes; who names a task gets that.
        opening: What `open_recipe` takes.

    Raises:
        RecipeError: The changes do not go with the recipe that the feedback asks for.
        DataError: As `open_recipe`.
    """
    if "task" in keys:
        rated = make(RATED)
        return open_recipe(make(RANKED) if problem_of(rated).ranks else rated, **opening)
    refused, why = None, ""
    try:
        opened = open_recipe(make(RATED), **opening)
        if _kind(opened) == "ratings":
            return opened
    except NotRatings as error:
        why = str(error)
    except RecipeError as error:  # what is no setting of this recipe may be one of the other
        refused = error
    try:
        ranked = open_recipe(make(RANKED), **opening)
    except SifError as error:
        if refused is not None or not isinstance(error, RecipeError):
            raise refused or error from None
        raise RecipeError(f"{error}\n  {RANKED} is the recipe because: {why or 'these are no ratings'}") from None
    if refused is not None and _kind(ranked) == "ratings":
        raise refused
    return ranked


def _kind(opened: Instance) -> str:
    """What the feedback of a table is."""
    return opened.data.interactions.feedback.kind if isinstance(opened, TableInstance) else "ratings"

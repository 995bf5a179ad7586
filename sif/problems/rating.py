"""Ratings: how much a user likes an item, on a scale."""

from __future__ import annotations

from collections.abc import Mapping

from sif.problems.recipes import Recipe, WideRecipe
from sif.problems.tables import TableProblem
from sif.recipes.base import BaseRecipe

__all__ = ["RATING", "RatingProblem"]


class RatingProblem(TableProblem):
    """Predict ratings; chosen by RMSE in standard deviations of the training ratings."""

    name = "rating"
    what = "ratings"

    @property
    def recipes(self) -> Mapping[str, type[BaseRecipe]]:
        """Space -> the class of its recipes."""
        return {"interaction": Recipe, "tensor-interaction": Recipe, "interaction-wide": WideRecipe}


RATING = RatingProblem()

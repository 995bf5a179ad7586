"""Rankings: which items a user meets next, from who met what."""

from __future__ import annotations

from collections.abc import Mapping

from sif.problems.recipes import RankingRecipe
from sif.problems.tables import TableProblem
from sif.recipes.base import BaseRecipe

__all__ = ["RANKING", "RankingProblem"]


class RankingProblem(TableProblem):
    """Rank the catalogue for each user; chosen by a metric at k."""

    name = "ranking"
    what = "interactions"

    @property
    def recipes(self) -> Mapping[str, type[BaseRecipe]]:
        """Space -> the class of its recipes."""
        return {"interaction-wide": RankingRecipe}


RANKING = RankingProblem()

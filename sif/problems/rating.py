"""Ratings: how much a user likes an item, on a scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from nasp_core.optimise import Optimiser, Training
from sif.datasets import Interactions, Split, check_rating_task
from sif.problems.goals import RANKING_GOAL, asks_both, ranking_of
from sif.problems.plan import TablePlan
from sif.problems.recipes import Recipe, WideRecipe
from sif.problems.table_problem import TableProblem
from sif.problems.table_sheet import SheetColumn
from sif.problems.tables import TableInstance
from sif.ranges import AnyOf, Float, SettingsSpace
from sif.recipes.base import BaseRecipe
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RatingTask

__all__ = ["RATING", "RatingProblem"]


@dataclass(frozen=True, kw_only=True)
class _Plan(TablePlan):
    def task(self, data: Interactions, cut: Split) -> RatingTask:
        check_rating_task(data)
        return RatingTask(data, cut)


class RatingProblem(TableProblem):
    """Predict ratings; chosen by RMSE in standard deviations of the training ratings."""

    name = "rating"
    what = "ratings"
    explained = "RMSE and MAE are in the ratings' own unit, RMSE (std) in standard deviations of the training ratings."
    unweighed = "all ratings count alike"
    rankings = "clicks"
    tried_by = (
        "movielens-wide",
        {
            "train.min_steps": 1200,  # a small table takes more epochs
            "space.encodings": ["id", "history", "id+history", "value-history", "id+value-history"],
        },
    )
    plan = _Plan(
        metric="rmse",
        maximise=False,
        fractions=(0.5, 0.25, 0.25),
        settings=WideSettings(
            elementwise=("identity", "network"),
            embedding_dim=16,
            mlp=(16,),
            history_power=0.5,
            init_std=0.05,
            l2=0.06,
            bias_l2=0.02,
            l2_frequency=0.5,
        ),
        training=Training(
            epochs=6,
            batch_size=1024,
            evaluate_every=1,
            keep_best=True,
            optimiser=Optimiser(kind="adam", learning_rate=0.01, betas=(0.9, 0.99), schedule="linear"),
        ),
    )

    settings_space: ClassVar[SettingsSpace] = {
        "space.l2": Float(0.003, 0.3, log=True),
        "space.bias_l2": Float(0.003, 0.1, log=True),
        "space.l2_frequency": AnyOf((0.0, 0.5, 1.0), ordered=True),
        "space.history_power": AnyOf((0.5, 1.0), ordered=True),
        "space.embedding_dim": AnyOf((8, 16, 32, 64), ordered=True),
        "train.optimiser.learning_rate": Float(0.001, 0.02, log=True),
    }

    rungs: ClassVar[tuple[float, ...]] = (1 / 3, 1.0)  # few epochs are enough, and one of them orders badly

    @property
    def recipes(self) -> Mapping[str, type[BaseRecipe]]:
        """Space -> the class of its recipes."""
        return {"interaction": Recipe, "tensor-interaction": Recipe, "interaction-wide": WideRecipe}

    def taken(self, recipe: Recipe, interactions: Interactions) -> Interactions:
        """Return all rows.

        Args:
            recipe: The recipe.
            interactions: All rows.

        Raises:
            NotRatings: There are no ratings, all are equal, or they are counts.
        """
        check_rating_task(interactions)
        return interactions

    def open(
        self, recipe: Recipe, *, source: Any = None, device: str = "auto", root: Path | None = None
    ) -> TableInstance:
        """Read, check and cut the ratings a recipe names; with the goal `ranking` they are opened as a ranking."""
        opened = super().open(recipe, source=source, device=device, root=root)
        if recipe.study.goal == RANKING_GOAL:
            return ranking_of(opened)
        if asks_both(recipe):
            told = f"lists are searched too, by the recipe {self.rankings} on half the budget; without: --goal rating"
            opened.notes = (*opened.notes, told)
        return opened

    def reopen(self, recipe: Recipe, *, device: str = "auto", root: Path | None = None) -> TableInstance:
        """Open the recipe of a finished run, whose values were taken for ratings; see `Problem.reopen`."""
        return super().open(recipe.model_copy(update={"feedback": "ratings"}), device=device, root=root)

    def make_task(self, recipe: Recipe, interactions: Interactions, cut: Split, device: torch.device) -> RatingTask:
        """Return the task on data that are cut; a problem of your own may have its own."""
        return RatingTask(interactions, cut, device=device, context=recipe.context != "none")

    def columns(self, result: Mapping[str, Any]) -> tuple[SheetColumn, ...]:
        """Return the metric that selects, then RMSE and MAE on the test part."""
        metric = result["metric"]
        name = "RMSE (std)" if metric == "rmse_standardised" else metric
        return (
            SheetColumn(f"valid {name}", "valid", metric),
            SheetColumn(f"test {name}", "test", metric),
            SheetColumn("test RMSE", "test", "rmse"),
            SheetColumn("test MAE", "test", "mae"),
        )


RATING = RatingProblem()

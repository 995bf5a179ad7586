"""Rankings: which items a user meets next, from who met what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch

from nasp_core.optimise import Optimiser, Training
from sif.datasets import Interactions, Split
from sif.datasets.assemble import check_size
from sif.datasets.feedback import only_met
from sif.problems.plan import TablePlan
from sif.problems.recipes import WideRecipe
from sif.problems.table_problem import TableProblem
from sif.problems.table_sheet import SheetColumn
from sif.ranges import AnyOf, Float, SettingsSpace
from sif.recipes.base import BaseRecipe, Choices
from sif.recipes.closed import model_of
from sif.rivals.base import Kind
from sif.spaces.wide_settings import WideSettings
from sif.tasks import RankingSettings, RankingTask
from sif.tasks.ranking_settings import USES, WEIGHTED

__all__ = ["RANKING", "RankingProblem", "RankingRecipe"]

_RankingModel: Any = model_of(RankingSettings)


class RankingRecipe(WideRecipe):
    """Who met what, ranked: the wide space under a loss of rankings."""

    task: str = "ranking"
    ranking: _RankingModel = _RankingModel()
    choices: ClassVar[Choices] = {
        "ranking.loss": {f"ranking.{name}": losses for name, losses in USES.items()},
        "ranking.weight": {"ranking.weight_power": WEIGHTED},
    }

    @property
    def asks(self) -> Kind:
        """What a network of a rival is asked."""
        return "lists"

    def ranking_settings(self) -> RankingSettings:
        """Return the settings of the task."""
        return RankingSettings(**self.ranking.model_dump())


@dataclass(frozen=True, kw_only=True)
class _Plan(TablePlan):
    ranking: RankingSettings

    def task(self, data: Interactions, cut: Split) -> RankingTask:
        return RankingTask(data, cut, self.ranking)

    def describe(self) -> dict[str, Any]:
        """Return all values as plain data; of weights and drawn items only what is used, as older tables do."""
        told = super().describe()
        used = {name for name, losses in USES.items() if self.ranking.loss in losses}
        for name in {"margin", "negative_weight", "degree_weight"} - used:
            del told["ranking"][name]
        if self.ranking.drawn == "auto":
            del told["ranking"]["drawn"]
        if self.ranking.weight == "none":
            del told["ranking"]["weight"], told["ranking"]["weight_power"]
        return told

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        return replace(super().of(told), ranking=RankingSettings(**told["ranking"]))


class RankingProblem(TableProblem):
    """Rank the catalogue for each user; chosen by a metric at k."""

    name = "ranking"
    what = "interactions"
    explained = "The whole catalogue is ranked but for what the user had before; ties count by their expected value."
    close = 0.002
    unweighed = "to use it as confidence: --set ranking.weight=confidence"
    ranks = True
    tried_by = "clicks", {}
    plan = _Plan(
        metric="ndcg@10",
        maximise=True,
        fractions=(0.8, 0.1, 0.1),
        settings=WideSettings(
            elementwise=("identity", "network"),
            embedding_dim=16,
            mlp=(16,),
            history_power=1.0,
            init_std=0.02,
            l2=0.07,
        ),
        training=Training(
            epochs=12,
            batch_size=128,
            evaluate_every=2,
            keep_best=True,
            optimiser=Optimiser(kind="adam", learning_rate=0.04, schedule="cosine"),
        ),
        ranking=RankingSettings(loss="softmax", hidden_share=0.85, metric="ndcg", k=10),
    )

    settings_space: ClassVar[SettingsSpace] = {
        "space.l2": Float(0.003, 0.7, log=True),
        "space.history_power": AnyOf((0.0, 0.5, 1.0), ordered=True),
        "space.embedding_dim": AnyOf((32, 64, 128), ordered=True),
        "train.optimiser.learning_rate": Float(0.003, 0.03, log=True),
        "ranking.hidden_share": AnyOf((0.3, 0.5, 0.7, 0.85, 0.95), ordered=True),
    }

    @property
    def recipes(self) -> Mapping[str, type[BaseRecipe]]:
        """Space -> the class of its recipes."""
        return {"interaction-wide": RankingRecipe}

    def made_of(self, recipe: RankingRecipe) -> dict[str, Callable[[], object]]:
        """Return the settings of the task, for `check` to try."""
        return {"ranking": recipe.ranking_settings}

    def weighing(self, recipe: RankingRecipe) -> dict[str, Any]:
        """Return what `ColumnNames` are told of the weights that a recipe uses."""
        told: dict[str, dict[str, Any]] = {"confidence": {"weight": True}, "repeats": {"repeats": True}}
        return told.get(recipe.ranking_settings().weight, {})

    def only_met(self, recipe: RankingRecipe) -> bool:
        """Return whether pairs rated 0 or less are left out: where no threshold says what counts."""
        return recipe.ranking_settings().threshold is None

    def taken(self, recipe: RankingRecipe, interactions: Interactions) -> Interactions:
        """Return the pairs that say who met what."""
        return check_size(only_met(interactions)) if self.only_met(recipe) else interactions

    def make_task(
        self, recipe: RankingRecipe, interactions: Interactions, cut: Split, device: torch.device
    ) -> RankingTask:
        """Return the task on data that are cut; a problem of your own may have its own."""
        return RankingTask(interactions, cut, recipe.ranking_settings(), device=device)

    def places(self, recipe: RankingRecipe) -> tuple[int, float | None]:
        """Return the k and the threshold of the task."""
        settings = recipe.ranking_settings()
        return settings.k, settings.threshold

    def columns(self, result: Mapping[str, Any]) -> tuple[SheetColumn, ...]:
        """Return the metric that selects, then the others at its k, on the test part."""
        metric = result["metric"]
        k = metric.partition("@")[2]
        more = (f"{name}@{k}" for name in ("ndcg", "recall", "hit_rate", "mrr", "coverage"))
        names = dict.fromkeys((metric, *more))
        return (
            SheetColumn(f"valid {metric}", "valid", metric),
            *(SheetColumn(f"test {name}", "test", name) for name in names),
        )


RANKING = RankingProblem()

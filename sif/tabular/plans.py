"""How the points of an interaction table are trained: one schedule a task, the same for every point."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from nasp_core.optimise import Optimiser, Training
from sif.errors import DataError
from sif.spaces.wide_settings import OFFERS, WideSettings
from sif.tasks.ranking_settings import RankingSettings

__all__ = ["PLANS", "TASKS", "TablePlan", "TaskName"]

TaskName = Literal["rating", "ranking"]
TASKS: tuple[TaskName, ...] = get_args(TaskName)


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlan:
    """What all points of a table share on one task.

    - `metric`: what judges a point; a name of the task's metrics.
    - `maximise`: whether more of it is better.
    - `fractions`: of training, validation and test part, cut at random with seed 0 whatever the seed of a training is.
    - `settings`: the offers of the space and how weights are held.
    - `training`: the schedule; the weights of the best validation are kept.
    - `ranking`: loss and place of the cut, None for ratings.
    """

    metric: str
    maximise: bool
    fractions: tuple[float, float, float]
    settings: WideSettings
    training: Training
    ranking: RankingSettings | None = None

    def without(self, names: Collection[str]) -> TablePlan:
        """Return this plan in a smaller space, which does not offer the candidates `names`.

        Raises `DataError` for a name that is no candidate, `SpaceError` where a choice has none left.
        """
        offers = {setting: getattr(self.settings, setting) for setting in OFFERS}
        unknown = sorted(set(names) - {each for offered in offers.values() for each in offered})
        if unknown:
            known = ", ".join(each for offered in offers.values() for each in offered)
            raise DataError(f"no candidate {', '.join(unknown)} to leave out; there are {known}")
        left: dict[str, Any] = {
            setting: tuple(each for each in offered if each not in names) for setting, offered in offers.items()
        }
        settings = replace(self.settings, **left)
        settings.check()
        return replace(self, settings=settings)

    def describe(self) -> dict[str, Any]:
        """Return all values as plain data, ready for JSON; of weights only where they are used, as older tables do."""
        values = asdict(self)
        if self.ranking is not None and self.ranking.weight == "none":
            del values["ranking"]["weight"], values["ranking"]["weight_power"]
        return values


PLANS: Mapping[TaskName, TablePlan] = {
    "rating": TablePlan(
        metric="rmse",
        maximise=False,
        fractions=(0.5, 0.25, 0.25),
        settings=WideSettings(
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
    ),
    "ranking": TablePlan(
        metric="ndcg@10",
        maximise=True,
        fractions=(0.8, 0.1, 0.1),
        settings=WideSettings(
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
    ),
}
"""The plans of the table that ships. Chosen for a fair training within a second or two on one processor core."""

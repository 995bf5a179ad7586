"""Weak predictors, one after another, each nearer to the best points.  Wu et al., NeurIPS 2021, arXiv:2102.10490."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.network import Space
from nasp_core.strategy import Paper
from nasp_core.trials.budgeted import (
    Budgeted,
    finite_scores,
    new_points,
    next_of_batch,
    normal_scores,
    points_tried,
    required,
)
from nasp_core.trials.points import one_hot
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import Active, State

__all__ = ["WeakPredictor"]

PAPER = Paper(
    title="Stronger NAS with Weaker Predictors",
    authors=(
        "Junru Wu, Xiyang Dai, Dongdong Chen, Yinpeng Chen, Mengchen Liu, Ye Yu, Zhangyang Wang, Zicheng Liu, "
        "Mei Chen, Lu Yuan"
    ),
    venue="Advances in Neural Information Processing Systems",
    year=2021,
    arxiv="2102.10490",
)


@dataclass(frozen=True, kw_only=True)
class WeakPredictor(Budgeted):
    """Predict scores roughly, try a few of the points predicted best, predict again with what they taught.

    Parts: `startup` random points; a random forest of `trees` trees (scikit-learn) on the choices as zeros and ones; a
    pool of `pool` new points, half near the best, half random; of its best `top` by prediction a random `batch`.
    Shapes: features float32 `[points, candidates of all choices]`.
    Departs from the paper: the pool is drawn, so that a space needs no listing; targets are normal scores of the ranks;
    one kind of predictor (the paper compares MLP, gradient boosting and forests).
    Fails when: what the choices are worth depends on each other more than trees can see from tens of points. Needs
    scikit-learn (extra `scikit-learn`): without it `init` raises `SearchError`.
    """

    startup: int = 10
    batch: int = 5
    top: int = 20
    pool: int = 500
    trees: int = 50
    name: str = "weak-predictor"
    papers: tuple[Paper, ...] = (PAPER,)

    least: ClassVar[dict[str, float]] = {"trials": 1, "startup": 1, "batch": 1, "top": 1, "pool": 1, "trees": 1}

    def begin(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return the points that wait to be tried."""
        required("sklearn", "scikit-learn", "scikit-learn", self.name)
        return {"queue": []}

    def propose(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the next of the batch; where it is empty, fit a predictor and fill it."""
        return next_of_batch(context, state, self.startup, lambda: self._promising(context.space, state))

    def _promising(self, space: Space, state: State) -> list[Active]:
        ensemble = required("sklearn.ensemble", "scikit-learn", "scikit-learn", self.name)
        pool, generator = new_points(space, state, self.pool), state["generator"]
        seed = int(torch.randint(2**31, (), generator=generator))
        if not pool:
            return []
        forest = ensemble.RandomForestRegressor(n_estimators=self.trees, random_state=seed, n_jobs=1)
        targets = normal_scores(finite_scores(state))
        forest.fit(one_hot(space, points_tried(state)).numpy(), targets.numpy())
        predicted = torch.from_numpy(forest.predict(one_hot(space, pool).numpy()))
        best = predicted.argsort(descending=True, stable=True)[: self.top].tolist()
        drawn = torch.randperm(len(best), generator=generator)[: self.batch].tolist()
        return [pool[best[place]] for place in drawn]

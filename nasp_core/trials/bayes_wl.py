"""Bayesian optimisation on a graph kernel (NASBOWL).  Ru et al., ICLR 2021, arXiv:2006.07556."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.network import Space
from nasp_core.strategy import Paper
from nasp_core.trials.budgeted import (
    Budgeted,
    Memo,
    finite_scores,
    new_points,
    next_of_batch,
    normal_scores,
    points_tried,
)
from nasp_core.trials.gaussian_process import expected_improvement, log_marginal, posterior
from nasp_core.trials.graphs import graph_of, kernel, wl_features
from nasp_core.trials.points import key_of
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import Active, State

__all__ = ["BayesWl"]

PAPER = Paper(
    title="Interpretable Neural Architecture Search via Bayesian Optimisation with Weisfeiler-Lehman Kernels",
    authors="Binxin Ru, Xingchen Wan, Xiaowen Dong, Michael Osborne",
    venue="International Conference on Learning Representations",
    year=2021,
    arxiv="2006.07556",
)
_NOISES = (1e-3, 1e-2, 1e-1, 0.5)


@dataclass(frozen=True, kw_only=True)
class BayesWl(Budgeted):
    """Predict scores from the parts that points' graphs share, and try the point of the largest expected improvement.

    Parts: `startup` random points; a Gaussian process on the Weisfeiler-Lehman kernel of the points' graphs
    (`nasp_core.trials.graphs`), its iterations (up to `iterations`) and noise by the largest marginal likelihood; a
    pool of `pool` new points, half of them one to three changes away from the best ten, half random; the `batch` of the
    largest expected improvement are tried before the process is fitted anew.
    Shapes: Gram matrix float64 `[tried, tried]`, pool `[pool]`.
    Departs from the paper: targets are normal scores of the ranks, so that no metric's unit or failure matters (there
    the logarithm of the error); noise and iterations from a grid; no motifs are read off the kernel.
    Fails when: a pool of a few hundred rarely holds anything good, or scores are all noise.
    """

    startup: int = 10
    batch: int = 5
    pool: int = 200
    iterations: int = 2
    name: str = "bayes-wl"
    papers: tuple[Paper, ...] = (PAPER,)

    least: ClassVar[dict[str, float]] = {"trials": 1, "startup": 2, "batch": 1, "pool": 1, "iterations": 0}

    def begin(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return the points that wait to be tried, and what is known of points' graphs."""
        return {"queue": [], "features": Memo()}

    def propose(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the next of the batch; where it is empty, fit and fill it."""
        return next_of_batch(context, state, self.startup, lambda: self._best_of_pool(context.space, state))

    def _best_of_pool(self, space: Space, state: State) -> list[Active]:
        pool = new_points(space, state, self.pool)
        if not pool:
            return []
        features = [self._features(space, state, point) for point in (*points_tried(state), *pool)]
        targets = normal_scores(finite_scores(state))
        results, best = len(targets), (-float("inf"), torch.zeros(0), 0.0)
        for iterations in range(self.iterations + 1):
            gram = kernel(features, iterations)
            for noise in _NOISES:
                likelihood = log_marginal(gram[:results, :results], targets, noise)
                if likelihood > best[0]:
                    best = likelihood, gram, noise
        _, gram, noise = best
        mean, variance = posterior(
            gram[:results, :results], gram[:results, results:], gram.diagonal()[results:], targets, noise
        )
        gain = expected_improvement(mean, variance, float(targets.max()))
        return [pool[place] for place in gain.argsort(descending=True, stable=True)[: self.batch].tolist()]

    def _features(self, space: Space, state: State, point: Active) -> list[Counter[str]]:
        memo, key = state["features"], key_of(point)
        memo.value = memo.value or {}
        if key not in memo.value:
            memo.value[key] = wl_features(graph_of(space, point), self.iterations)
        found: list[Counter[str]] = memo.value[key]
        return found

"""Search over how often each operation occurs, not where.  Wan et al., WACV 2022, arXiv:2111.04670."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.strategy import Paper
from nasp_core.trials.budgeted import (
    Budgeted,
    best_first,
    finite_scores,
    known_keys,
    next_of_batch,
    normal_scores,
    points_tried,
)
from nasp_core.trials.gaussian_process import expected_improvement, log_marginal, posterior
from nasp_core.trials.points import fresh_point, key_of
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import Active, State

__all__ = ["Anasod", "histograms"]

PAPER = Paper(
    title="Approximate Neural Architecture Search via Operation Distribution Learning",
    authors="Xingchen Wan, Binxin Ru, Pedro M. Esperança, Fabio Maria Carlucci",
    venue="Winter Conference on Applications of Computer Vision",
    year=2022,
    arxiv="2111.04670",
)
_LENGTHS = (0.25, 0.5, 1.0, 2.0)
_NOISES = (1e-2, 1e-1, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class Anasod(Budgeted):
    """Learn which mix of operations does well, group by group, and try points drawn from the promising mixes.

    Parts: a point's encoding is the histogram of its operations, one per choice group (`histograms`); `startup` points
    drawn uniformly; a Gaussian process on the encodings; a pool of `pool` new points, half from mixes like those of the
    best ten (a uniformly drawn mix makes up `spread` of each), half from uniformly drawn mixes; the `batch` whose
    histograms have the largest expected improvement are tried before the process is fitted anew.
    Shapes: histograms float64 `[points, candidates of all groups]`, each group's part on the simplex.
    Departs from the paper: of its searches, Bayesian optimisation alone; length scale and noise from a grid; targets
    are normal scores of the ranks. Several groups have one distribution each; a dropped choice is not counted.
    Fails when: it matters where an operation sits. In a space whose groups have one choice each a histogram is the
    point itself, and this is a Gaussian process on its one-hot encoding.
    """

    startup: int = 10
    batch: int = 5
    pool: int = 200
    spread: float = 0.3
    name: str = "anasod"
    papers: tuple[Paper, ...] = (PAPER,)

    least: ClassVar[dict[str, float]] = {"trials": 1, "startup": 2, "batch": 1, "pool": 1, "spread": 0.0}

    def begin(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return the points that wait to be tried."""
        return {"queue": []}

    def propose(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the next of the batch; where it is empty, fit and fill it."""
        return next_of_batch(context, state, self.startup, lambda: self._best_of_pool(context.space, state))

    def _best_of_pool(self, space: Space, state: State) -> list[Active]:
        points, targets = points_tried(state), normal_scores(finite_scores(state))
        pool = self._pool(space, state, [points[place] for place in best_first(state)[:10]])
        if not pool:
            return []
        known, new = histograms(space, points), histograms(space, pool)
        grid = [(length, noise) for length in _LENGTHS for noise in _NOISES]
        length, noise = max(grid, key=lambda pair: log_marginal(_kernel(known, known, pair[0]), targets, pair[1]))
        prior = torch.ones(len(pool), dtype=torch.float64)
        mean, variance = posterior(_kernel(known, known, length), _kernel(known, new, length), prior, targets, noise)
        gain = expected_improvement(mean, variance, float(targets.max()))
        return [pool[place] for place in gain.argsort(descending=True, stable=True)[: self.batch].tolist()]

    def _pool(self, space: Space, state: State, parents: list[Active]) -> list[Active]:
        generator, known = state["generator"], known_keys(state)
        found: list[Active] = []
        means = histograms(space, parents)

        def draw() -> Active:
            parent = None
            if len(found) % 2 == 0:
                parent = means[int(torch.randint(len(parents), (), generator=generator))]
            return _from_mix(space, parent, self.spread, generator)

        for _ in range(self.pool):
            point = fresh_point(space, known, generator, draw)
            if point is None:
                break
            known.add(key_of(point))
            found.append(point)
        return found


def histograms(space: Space, points: Sequence[Active]) -> Tensor:
    """Return how often each candidate occurs, by group, as shares: float64 `[points, candidates of all groups]`."""
    rows = torch.zeros(len(points), sum(len(g.candidates) for g in space.groups), dtype=torch.float64)
    for row, point in enumerate(points):
        start = 0
        for group in space.groups:
            live = [pick for pick in point[group.name] if pick >= 0]
            for pick in live:
                rows[row, start + pick] += 1.0 / len(live)
            start += len(group.candidates)
    return rows


def _from_mix(space: Space, like: Tensor | None, spread: float, generator: torch.Generator) -> Active:
    """Return a point whose operations are drawn from a mix per group: uniform on the simplex, or near `like`."""
    scores: dict[str, Tensor] = {}
    start = 0
    for group in space.groups:
        count = len(group.candidates)
        mix = torch.empty(count).exponential_(generator=generator)  # normalised: uniform on the simplex
        mix /= mix.sum()
        if like is not None:
            mix = (1 - spread) * like[start : start + count].float() + spread * mix
        start += count
        gumbel = -torch.empty(group.shape).exponential_(generator=generator).log()
        scores[group.name] = mix.clamp_min(1e-12).log() + gumbel
    return space.constrain(scores)


def _kernel(one: Tensor, two: Tensor, length: float) -> Tensor:
    return (-0.5 * torch.cdist(one, two).square() / length**2).exp()

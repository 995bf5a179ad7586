"""The surrogate as a sampler of Optuna."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from nasp_core.trials.budgeted import normal_scores
from nasp_core.types import derive_seed
from sif.ranges import is_named
from sif.studies.configuration_space import ConfigurationSpace
from sif.studies.optuna_trials import FIDELITY, configuration_of, distributions_of, optuna_values
from sif.studies.surrogate import Surrogate, likeliest_scales

__all__ = ["SurrogateSampler"]

Best: TypeAlias = Callable[[NDArray[np.float64], int], NDArray[np.float64]]  # so many of the most promising

_EVERY = 5  # results between two fits of the scales
_POOL = 300  # random places, where a space is too large to be listed
_ROUNDS, _BEST, _NEAR = 3, 10, 20  # then so often, around so many of the best, so many near ones each
_SPREAD = 64  # random places, of which the farthest from what is known is a first trial


class SurrogateSampler(optuna.samplers.BaseSampler):
    """Try the configuration of the largest expected improvement under a Gaussian process.

    The first `startup` trials lie far from each other, by the number of names and settings in which they differ. Then
    a process (`sif.studies.surrogate`) is fitted to the values: to their ranks as normal scores in a space that can be
    listed, else with the lower half drawn together; so no metric's unit matters, and failures are just the last. A
    space of up to `LARGEST` configurations is asked about one and all, a larger one at random and near the best. A
    configuration that was tried, or is being tried, is not proposed again.

    It has no state that matters: what it proposes follows from the seed and the trials of the study. A configuration
    counts by its trial of the highest fidelity, on the scale of the lowest (`_merged`).

    Args:
        space: The configurations; the study's parameters are `distributions_of(space)`.
        seed: Of all that is random.
        startup: Trials before the first fit, 2 or more.
    """

    def __init__(self, space: ConfigurationSpace, seed: int = 0, startup: int = 10) -> None:
        self.space, self.seed, self.startup = space, seed, max(2, startup)
        self._kept: tuple[Any, NDArray[np.float64]] | None = None  # of the last fit; it spares time and decides nothing

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters: all of them are drawn together."""
        return distributions_of(self.space)

    def sample_independent(self, study: Any, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
        """Refuse a parameter that is not the space's."""
        raise ValueError(f"parameter {name!r} is not in the space; there are {', '.join(distributions_of(self.space))}")

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        """Return the next configuration's parameters; those of a random one where all were tried."""
        others = [each for each in study.get_trials(deepcopy=False) if each.number != trial.number and each.params]
        done = [each for each in others if each.state == TrialState.COMPLETE]
        waiting = [each for each in others if each.state == TrialState.RUNNING]
        rng = np.random.default_rng(derive_seed(self.seed, "sampler", len(done), len(waiting)))
        sign = -1.0 if study.direction == optuna.study.StudyDirection.MINIMIZE else 1.0
        known = self._places([*done, *waiting])
        tried = {each.tobytes() for each in known}
        if len(done) < self.startup:
            place = _farthest(_fresh(self._random(rng, _SPREAD), tried), known)
        else:
            place = self._most_promising(*_merged(done, sign), waiting, rng)
        if place is None:
            grid = self.space.grid
            left = self._random(rng, 1) if grid is None else _fresh(grid, tried)
            place = left[rng.integers(len(left))] if len(left) else self._random(rng, 1)[0]
        return optuna_values(self.space.decode(place))

    def _most_promising(
        self, done: list[FrozenTrial], values: list[float], waiting: list[FrozenTrial], rng: np.random.Generator
    ) -> NDArray[np.float64] | None:
        places, tried = self._places(done), {each.tobytes() for each in self._places([*done, *waiting])}
        named = np.array([is_named(each) for each in self.space.dimensions.values()])
        targets = torch.cat([self._targets(values), torch.zeros(len(waiting), dtype=torch.float64)])
        known = np.concatenate([places, self._places(waiting)])
        surrogate = Surrogate(named, known, targets, self._scales(named, places, values))

        def best(candidates: NDArray[np.float64], count: int) -> NDArray[np.float64]:
            fresh = _fresh(candidates, tried)
            order = surrogate.gain(fresh).argsort(descending=True, stable=True)
            chosen: NDArray[np.float64] = fresh[order[:count].numpy()]
            return chosen

        if self.space.grid is not None:
            found = best(self.space.grid, 1)
        else:
            order = targets[: len(done)].argsort(descending=True, stable=True)[:_BEST].numpy()
            found = self._climb(places[order], best, rng)
        return found[0] if len(found) else None

    def _climb(self, leaders: NDArray[np.float64], best: Best, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return the best place of a random pool and of what is near the best, again and again."""
        pool = np.concatenate([self._random(rng, _POOL), self._near(leaders, rng)])
        for _ in range(_ROUNDS):
            leaders = best(pool, _BEST)
            pool = np.concatenate([leaders, self._near(leaders, rng)])
        return best(pool, 1)

    def _targets(self, values: list[float]) -> torch.Tensor:
        """Return what is modelled: ranks in a space that can be listed, distances in a smooth one."""
        return _soft_scores(values) if self.space.grid is None else normal_scores(values)

    def _scales(
        self, named: NDArray[np.bool_], places: NDArray[np.float64], values: list[float]
    ) -> NDArray[np.float64]:
        """Return the scales after the first results, in steps of `_EVERY`; the last ones are kept."""
        count = len(values) - len(values) % _EVERY or len(values)
        key = (places[:count].tobytes(), tuple(values[:count]))
        if self._kept is None or self._kept[0] != key:
            self._kept = key, likeliest_scales(named, places[:count], self._targets(values[:count]))
        return self._kept[1]

    def _places(self, trials: Sequence[FrozenTrial]) -> NDArray[np.float64]:
        rows = [self.space.encode(configuration_of(each.params)) for each in trials]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.space.dimensions))

    def _random(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        if (grid := self.space.grid) is not None:
            return grid[rng.integers(len(grid), size=count)]
        return self.space.canonical_places(rng.random((count, len(self.space.dimensions))))

    def _near(self, leaders: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Return places near some: each with one column or two changed, numbers by small steps or large ones."""
        places = np.repeat(leaders, _NEAR, axis=0)
        for _ in range(2):
            rows, columns = np.arange(len(places)), rng.integers(places.shape[1], size=len(places))
            named = np.array([is_named(each) for each in self.space.dimensions.values()])[columns]
            steps = rng.normal(size=len(places)) * 10 ** rng.uniform(-2.5, -0.5, size=len(places))
            moved = np.where(named, rng.random(len(places)), np.clip(places[rows, columns] + steps, 0, 1))
            places[rows, columns] = np.where(rng.random(len(places)) < 0.75, moved, places[rows, columns])
        return self.space.canonical_places(places)


def _merged(done: list[FrozenTrial], sign: float) -> tuple[list[FrozenTrial], list[float]]:
    """Return one trial and value of each configuration, in order; the larger the better, on the lowest rung's scale.

    Those that have gone on to the next rung take each other's values of the last one, in the order that the next one
    gives them: so no rung is the better for being the higher, or for having taken the best alone.
    """
    rungs: dict[float, dict[str, FrozenTrial]] = {}
    for trial in done:
        rung = rungs.setdefault(float(trial.user_attrs.get(FIDELITY, 1.0)), {})
        rung[repr(sorted(trial.params.items()))] = trial
    trials: dict[str, FrozenTrial] = {}
    values: dict[str, float] = {}
    for _, rung in sorted(rungs.items()):
        here = dict(zip(rung, _finite([sign * trial.values[0] for trial in rung.values()]), strict=True))
        both = [key for key in rung if key in values]
        taken = sorted(values[key] for key in both), sorted(here[key] for key in both)
        values |= {key: float(np.interp(value, taken[1], taken[0])) if both else value for key, value in here.items()}
        trials |= rung
    return [*trials.values()], [*values.values()]


def _finite(values: list[float]) -> list[float]:
    """Return the values, with the worst of the finite ones for trainings that failed."""
    worst = min((value for value in values if math.isfinite(value)), default=0.0)
    return [value if math.isfinite(value) else worst for value in values]


def _soft_scores(values: list[float]) -> torch.Tensor:
    """Return values with those below the median drawn towards it, by the logarithm: float64 `[n]`.

    Mean 0 and deviation 1: so the worst do not set the scale, and the best keep their distances.
    """
    table = torch.tensor(values, dtype=torch.float64)
    middle = table.median()
    apart = 2 * (table - middle) / (table.max() - middle).clamp_min(1e-12)
    soft = torch.where(apart < 0, -torch.log1p(-apart.clamp_max(0)), apart)
    return (soft - soft.mean()) / soft.std(correction=0).clamp_min(1e-12)


def _fresh(places: NDArray[np.float64], tried: set[bytes]) -> NDArray[np.float64]:
    return places[[each.tobytes() not in tried for each in places]] if len(places) else places


def _farthest(places: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the place that differs from all known ones in most columns, then by most."""
    if not len(places):
        return None
    apart = np.abs(places[:, None] - known[None])
    least = ((apart != 0) + apart / 2).sum(axis=2).min(axis=1, initial=2.0 * places.shape[1])
    farthest: NDArray[np.float64] = places[int(np.argmax(least))]
    return farthest

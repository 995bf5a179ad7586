"""What a table of interaction functions says, in figures."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sif.spaces.wide_points import NAMED, named
from sif.tabular.keys import KEY_COLUMNS, Key
from sif.tabular.measures import kendall_tau, spearman
from sif.tabular.table import InteractionTable

__all__ = ["explained", "summary"]

Array = NDArray[np.float64]


def explained(keys: list[Key], values: Array) -> dict[str, float]:
    """Return the share of the variance of values `[points, seeds]` that each choice explains on its own.

    Per column of `KEY_COLUMNS`, eta squared: the squares of the means by candidate over the total. `seed` is what
    varies between trainings of one point. Where every combination of candidates is there, `together` is what is left,
    the interactions of choices, and the shares sum to 1; elsewhere choices overlap, and it is left out. NaN where
    nothing varies.
    """
    offered = [{key[place] for key in keys} for place in range(len(KEY_COLUMNS))]
    total = float(np.square(values - values.mean()).sum())
    shares = {}
    for place, column in enumerate(KEY_COLUMNS):
        squares = 0.0
        for name in offered[place]:
            part = values[[key[place] == name for key in keys]]
            squares += part.size * float(part.mean() - values.mean()) ** 2
        shares[column] = squares / total if total else math.nan
    within = float(np.square(values - values.mean(axis=1, keepdims=True)).sum()) / total if total else math.nan
    if len(keys) < math.prod(map(len, offered)):
        return shares | {"seed": within}
    return shares | {"together": 1.0 - within - sum(shares.values()), "seed": within}


def summary(table: InteractionTable, best: int = 10) -> dict[str, Any]:
    """Return what a table holds, as plain data, ready for JSON: sizes, how it was made, and for each task

    - `best`: the points of the best mean test metric, with its deviation over seeds, parameters and seconds.
    - `pairs`: by operation and by predictor, the best mean test metric of the points that have both.
    - `published`: rank and mean test metric of the published models that are points of the table (`NAMED`); histories
      are scaled as the table's plan says, whatever the model's own scale is.
    - `quantiles`: of the points' mean test metric: best, upper quartile, median, lower quartile, worst.
    - `noise`: the sample standard deviation over seeds, median of the points.
    - `within_noise`: how many points are no further than `noise` from the best.
    - `seed_rho`, `seed_tau`: how well one seed's validation metric orders the points as another's (mean over pairs).
    - `valid_rho`, `valid_tau`: how well the validation metric of one seed orders them by their mean test metric.
    - `fidelity`: the same rho of each evaluated epoch's validation metric, by epochs.
    - `explained`: see `explained`, of the test metric.
    - `failed`: points with a training that diverged, which all the rest leaves out; `seconds`: of all trainings.

    `between` is Spearman's rho of the mean test metrics of each pair of tasks, better being better in both.

    Args:
        table: The table.
        best: How many of the best points to list.
    """
    tasks = {task: _of_task(table, task, best) for task in table.tasks}
    between = {}
    for first, second in itertools.combinations(table.tasks, 2):
        means = [_signed(table, task).mean(axis=1) for task in (first, second)]
        sound = ~np.isnan(means).any(axis=0)
        between[f"{first}, {second}"] = spearman(*(mean[sound] for mean in means)) if sound.sum() > 1 else None
    made = {name: table.made[name] for name in ("data", "fingerprint", "splits", "versions")}
    return {"points": len(table.points), "seeds": list(table.seeds), "made": made, "tasks": tasks, "between": between}


def _signed(table: InteractionTable, task: Any, split: Any = "test") -> Array:
    """The metric of all points and seeds, more being better."""
    return table.values(task, split) * (1.0 if table.maximise(task) else -1.0)


def _of_task(table: InteractionTable, task: Any, best: int) -> dict[str, Any]:
    test, valid = _signed(table, task), _signed(table, task, "valid")
    sound = ~np.isnan(test).any(axis=1)
    points = [table.points[index] for index in np.flatnonzero(sound)]
    test, valid = test[sound], valid[sound]
    means, sign = test.mean(axis=1), 1.0 if table.maximise(task) else -1.0
    order = np.argsort(-means, kind="stable")
    several, enough = test.shape[1] > 1, len(points) > 1
    noise = float(np.median(test.std(axis=1, ddof=1))) if several and enough else None
    curves = _curves(table, task, points)
    return {
        "metric": table.metrics(task)[0],
        "best": [_entry(table, task, points[index], test[index] * sign) for index in order[:best]],
        "pairs": _pairs([table.key(point) for point in points], means * sign, max if table.maximise(task) else min),
        "published": _published(table, task),
        "quantiles": [float(value) * sign for value in np.quantile(means, [1, 0.75, 0.5, 0.25, 0])] if enough else [],
        "noise": noise,
        "within_noise": None if noise is None else int((means >= means.max() - noise).sum()),
        "seed_rho": _agreement(spearman, valid) if several and enough else None,
        "seed_tau": _agreement(kendall_tau, valid) if several and enough else None,
        "valid_rho": _mean(spearman(column, means) for column in valid.T) if enough else None,
        "valid_tau": _mean(kendall_tau(column, means) for column in valid.T) if enough else None,
        "fidelity": {epochs: _mean(spearman(c, means) for c in values.T) for epochs, values in curves.items()}
        if enough
        else {},
        "explained": explained([table.key(point) for point in points], test) if enough else {},
        "failed": int((~sound).sum()),
        "seconds": sum(table.seconds(task, point) for point in table.points) * len(table.seeds),
    }


def _pairs(keys: list[Key], means: Array, best: Callable[..., float]) -> dict[str, dict[str, float]]:
    pairs: dict[str, dict[str, float]] = {}
    for key, mean in zip(keys, means.tolist(), strict=True):
        choice = dict(zip(KEY_COLUMNS, key, strict=True))
        row = pairs.setdefault(choice["operation"], {})
        row[choice["predictor"]] = best(mean, row.get(choice["predictor"], mean))
    return pairs


def _published(table: InteractionTable, task: Any) -> dict[str, dict[str, Any]]:
    """The published models that the table holds, best first."""
    held = {name: genotype for name in NAMED if table.holds(genotype := named(name))}
    ranks = {name: table.rank(task, genotype) for name, genotype in held.items()}
    order = sorted(held, key=lambda name: ranks[name])
    return {name: {"rank": ranks[name], "test": table.metric(task, held[name])} for name in order}


def _entry(table: InteractionTable, task: Any, point: Any, test: Array) -> dict[str, Any]:
    return {
        "point": list(table.key(point)),
        "test": float(test.mean()),
        "std": float(test.std(ddof=1)) if len(test) > 1 else None,
        "valid": table.metric(task, point, "valid"),
        "parameters": table.parameters(task, point),
        "seconds": table.seconds(task, point),
    }


def _curves(table: InteractionTable, task: Any, points: list[Any]) -> dict[int, Array]:
    """The best validation up to each evaluated epoch, more being better, `[points, seeds]` by epochs."""
    sign = 1.0 if table.maximise(task) else -1.0
    curves = [[table.curve(task, point, seed) for seed in table.seeds] for point in points]
    epochs = sorted({epoch for row in curves for curve in row for epoch in curve})
    return {
        until: np.array(
            [
                [max((sign * v for e, v in curve.items() if e <= until), default=math.nan) for curve in row]
                for row in curves
            ]
        )
        for until in epochs
    }


def _agreement(measure: Any, values: Array) -> float:
    return _mean(measure(first, second) for first, second in itertools.combinations(values.T, 2))


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))

"""One method on one table: its grid under a budget, chosen on validation; its seeds; the test part once for each."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nasp_core.loop import Observer
from nasp_core.types import State
from sif.metrics import METRICS, rank_metrics, rank_per_user
from sif.rivals.method import Fitted, Method, ScoresOf, Settings
from sif.rivals.pair_table import PairTable

__all__ = ["ComparisonConfig", "Judge", "run_method"]

_SCORES = 1 << 19  # made at once in an evaluation, of one user at least: what a cache holds is the fastest


@dataclass(frozen=True, slots=True)
class ComparisonConfig:
    """How methods are compared.

    - `metric`, `k`: what chooses on validation and is tested, over the first k places.
    - `budget`: seconds of tuning for each method; a point is begun when the longest so far would still fit, the first
      point always.
    - `seeds`: with what each chosen point is trained.
    """

    metric: str = "ndcg"
    k: int = 10
    budget: float = 60.0
    seeds: tuple[int, ...] = (0, 1, 2)

    def problems(self) -> list[str]:
        """Return all that is wrong with them."""
        known = [name for name in METRICS if name != "coverage"]  # which no user has alone
        found = []
        if self.metric not in known:
            found.append(f"metric = {self.metric!r}; there are {', '.join(known)}")
        if self.k < 1:
            found.append(f"k = {self.k}; judge 1 place or more")
        if not (math.isfinite(self.budget) and self.budget >= 0):
            found.append(f"budget = {self.budget:g}; give seconds: 0 (one point for each method) or more")
        if not self.seeds:
            found.append("no seeds; train each method once or more")
        if self.seeds and min(self.seeds) < 0:
            found.append(f"seed = {min(self.seeds)}; give 0 or a positive whole number")
        return found

    @property
    def name(self) -> str:
        """The metric as it stands in results: `ndcg@10`."""
        return f"{self.metric}@{self.k}"


class Judge:
    """Ranks the catalogue by a method's scores; counts how often the test part is read."""

    def __init__(self, table: PairTable, config: ComparisonConfig) -> None:
        self.table, self.config = table, config
        self.test_reads = 0
        self._ways: Any = {"k": (config.k,), "batch": max(1, _SCORES // table.n_items)}

    def valid(self, scores_of: ScoresOf) -> dict[str, float]:
        """Return every metric on the validation part."""
        return rank_metrics(scores_of, self.table.seen_valid, self.table.valid, **self._ways)

    def test(self, scores_of: ScoresOf) -> tuple[dict[str, float], NDArray[np.int64], NDArray[np.float64]]:
        """Return every metric on the test part, the users that have one, and the metric of the config for each."""
        self.test_reads += 1
        seen, relevant = self.table.seen_test, self.table.test
        users, values = rank_per_user(scores_of, seen, relevant, **self._ways)
        return rank_metrics(scores_of, seen, relevant, **self._ways), users, values[self.config.name]


@dataclass
class _Tuned:
    """The best point so far, the model that was trained there, and what was tried."""

    settings: Settings
    fitted: Fitted
    valid: dict[str, float]
    seconds: float
    trials: list[dict[str, Any]] = field(default_factory=list)


def run_method(method: Method, table: PairTable, config: ComparisonConfig, observer: Observer | None = None) -> State:
    """Tune a method, train it with every seed, judge it; return plain data and tensors.

    The first seed tunes; its model at the chosen point is the first that is judged.

    Args:
        method: What is trained.
        table: The pairs; methods see them without the test part.
        config: Metric, budget and seeds.
        observer: Is shown every training; those that the budget leaves out count as done.

    Returns:
        `settings`, `valid` (all metrics at the choice), `trials` (settings, metric, seconds), `points`,
        `tuning_seconds`, `seeds`, `fit_seconds` (for each seed), `test` (all metrics for each seed), `users` int64
        `[n]`, `values` float64 `[seeds, n]` (the config's metric), `parameters`, `test_reads`, `read_back` (whether the
        method only read what was trained before).
    """
    judge, hidden = Judge(table, config), table.without_test()
    seeds = config.seeds[:1] if method.deterministic else config.seeds
    observer = observer or Observer()
    observer.started("trainings", len(method.grid) + len(seeds) - 1, 0)
    began = time.perf_counter()
    best = _tuned(method, hidden, judge, observer)
    tuning_seconds = time.perf_counter() - began
    for _ in range(len(method.grid) - len(best.trials)):
        observer.stepped()
    fitted, seconds, tests = best.fitted, [best.seconds], []
    for place, seed in enumerate(seeds):
        if place:
            fitted, spent = _timed(method, hidden, best.settings, seed)
            seconds.append(spent)
            observer.stepped()
        tests.append(judge.test(fitted.scores_of))
    return {
        "settings": dict(best.settings),
        "valid": best.valid,
        "trials": best.trials,
        "points": len(method.grid),
        "tuning_seconds": tuning_seconds,
        "seeds": list(seeds),
        "fit_seconds": seconds,
        "test": [metrics for metrics, _, _ in tests],
        "users": torch.from_numpy(tests[0][1]),
        "values": torch.from_numpy(np.stack([values for _, _, values in tests])),
        "parameters": fitted.parameters,
        "test_reads": judge.test_reads,
        "read_back": fitted.seconds is not None,
    }


def _timed(method: Method, table: PairTable, settings: Settings, seed: int) -> tuple[Fitted, float]:
    began = time.perf_counter()
    fitted = method.fit(table, settings, seed)
    spent = time.perf_counter() - began
    return fitted, spent if fitted.seconds is None else fitted.seconds


def _tuned(method: Method, table: PairTable, judge: Judge, observer: Observer) -> _Tuned:
    config, began, longest = judge.config, time.perf_counter(), 0.0
    best: _Tuned | None = None
    trials: list[dict[str, Any]] = []
    for settings in method.grid:
        start = time.perf_counter()
        if best is not None and start - began + longest > config.budget:
            break
        fitted, spent = _timed(method, table, settings, config.seeds[0])
        valid = judge.valid(fitted.scores_of)
        longest = max(longest, time.perf_counter() - start)
        trials.append({"settings": dict(settings), "metric": valid[config.name], "seconds": spent})
        if best is None or valid[config.name] > best.valid[config.name]:
            best = _Tuned(settings, fitted, valid, spent)
        observer.stepped()
    assert best is not None  # a grid has a point
    best.trials = trials
    return best

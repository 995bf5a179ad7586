"""Rivals inside a study: methods of other recommenders, tuned point by point as the budget allows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from nasp_core.errors import SearchError
from nasp_core.evaluation import better
from sif.errors import DataError
from sif.metrics import rank_metrics
from sif.rivals.known import METHODS
from sif.rivals.method import Fitted, ScoresOf, Settings
from sif.rivals.pair_table import PairTable
from sif.runs.stages import Stages
from sif.tasks import RankingTask, watched

__all__ = ["CLASSICS", "Classics", "Tuned", "judged_on"]

CLASSICS = (
    *("popularity", "ease", "als", "itemknn", "rp3beta", "bspm", "gf-cf", "puresvd", "popularity-recent"),
    *("ials", "sparse-ease", "elsa", "slim", "turbo-cf", "simplex"),
)
"""Strongest first, of those that are alike cheap."""
_DEAR = 0.15  # of the seconds that are left is the most that a rival may be expected to take which was not timed yet
_MOST = 0.7  # the same where nothing else is to be trained
_AHEAD = 4  # times the seconds that another had may a rival be expected to take which was not timed yet
_SIZES = {"factors": 2, "embedding_dim": 1, "rank": 2, "neighbours": 2, "epochs": 1, "iterations": 1, "order": 1}
_SIZES |= {"ideal": 0}
_DECOMPOSED = 8.0  # times: a filter with singular vectors beside one without
_HOPE = 0.6  # of the best rival's metric: who has less is not tuned on
_FAILURES = (SearchError, DataError, RuntimeError, np.linalg.LinAlgError, MemoryError)
_FAVOUR = 6  # a rival with 90 % of the best one's metric has half of its time
_SCORES = 1 << 21
_FEW = 2000  # users on whom the points of one rival are told apart, at most


@dataclass
class Tuned:
    """A rival at its best point so far.

    Attributes:
        settings: Of the point.
        valid: Its validation metrics.
        few: Its metric on the few users on whom its points are told apart; None where all are judged at once.
        own: Seconds of the training at this point, without what judging it on all took, where that was done apart.
        judged: Seconds of that.
        seconds: Of all trainings of the rival.
        spent: Of these, without what judging on all took.
        trials: How many there were.
        fitted: The model; None where an earlier process trained it.
        served: Whether it can be handed over; None where that was not written down.
    """

    settings: Settings
    valid: dict[str, float]
    few: float | None
    own: float = 0.0
    judged: float = 0.0
    seconds: float = 0.0
    spent: float = 0.0
    trials: int = 0
    fitted: Fitted | None = None
    served: bool | None = None


class Classics:
    """Trains rivals on a ranking task, one point of one grid at a time; the most promising grid goes first.

    Where validation judges many users, the points of a rival are told apart on a fixed sample of 2,000 of them, and
    those that lead there are judged on all: to judge is most of what a point of a cheap rival takes.
    """

    def __init__(self, task: RankingTask, stages: Stages, seed: int) -> None:
        """Take the rivals that run on this table.

        Args:
            task: The ranking, with a validation part.
            stages: Of the run: a point is trained once.
            seed: Of all trainings.
        """
        self._task, self._stages, self._seed = task, stages, seed
        self.table = PairTable.of(task, needs=("train", "valid")).without_test()
        few: Any = watched(task, _FEW)
        self._few = None if few is task else replace(self.table, valid=few.judged("valid"))
        usable = [name for name in CLASSICS if _usable(name, self.table)]
        self._left = {name: list(METHODS[name].grid) for name in usable}
        self._values = {name: _places(METHODS[name].grid) for name in usable}
        self._longest = dict.fromkeys(usable, 0.0)
        self.best: dict[str, Tuned] = {}
        self.done: list[dict[str, Any]] = []
        self.seconds = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The rivals that run on this table."""
        return tuple(self._left)

    def due(self, remaining: float | None = None, *, alone: bool = False) -> tuple[str, Settings] | None:
        """Return the next rival and its point, of those that fit into the remaining seconds; None where none does.

        That one is next which had the least time for what it is worth, of those with hope, and it goes from its best
        point to the neighbours of that on its grid, until none is better. A rival that was not tried counts as one that
        had a share of what its first point is expected to take: so the cheap ones come first, and the dear ones when
        others had as much.

        Args:
            remaining: Seconds; None where none are counted.
            alone: Whether nothing but rivals is left to be trained: then dear ones may take most of what remains.
        """
        tuned = [(self._spent(name, remaining), name) for name in self._hopeful()]
        untried = [
            (self._expected(name, remaining), name)
            for name, left in self._left.items()
            if left and name not in self.best
        ]
        for _, name in sorted([*untried, *tuned], key=lambda each: each[0]):
            point = self._near(name) if name in self.best else self._left[name][0]
            if point is not None and self._fits(name, point, remaining, _MOST if alone else _DEAR):
                return name, point
        return None

    def _expected(self, name: str, remaining: float | None) -> float:
        """Return what a rival that was not tried counts as having had; without a clock, nothing."""
        return 0.0 if remaining is None else METHODS[name].cost(self.table) / _AHEAD

    def _spent(self, name: str, remaining: float | None) -> float:
        """Return what a rival had, the more the farther it is from the best one: who leads is tuned most.

        What it took to judge leading points on all users does not count against a rival: more of those lead of the one
        that gains most by being tuned.
        """
        tuned, metric = self.best[name], self._task.metric
        most = max(each.valid[metric] for each in self.best.values())
        had = tuned.trials if remaining is None else tuned.spent
        return had * (most / tuned.valid[metric]) ** _FAVOUR if tuned.valid[metric] > 0 else had

    def _fits(self, name: str, point: Settings, remaining: float | None, dear: float) -> bool:
        if remaining is None:
            return True
        if name in self.best:
            return self._longest[name] * _dearer(point, self.best[name].settings) <= remaining
        return METHODS[name].cost(self.table) <= dear * remaining

    def _hopeful(self) -> list[str]:
        values = {name: tuned.valid[self._task.metric] for name, tuned in self.best.items()}
        return [name for name, value in values.items() if value >= _HOPE * max(values.values())]

    def _near(self, name: str) -> Settings | None:
        """Return the point nearest to a rival's best that was not tried; None where the best has no neighbour left."""
        best = self.best[name].settings
        steps = [(_steps(point, best, self._values[name]), number) for number, point in enumerate(self._left[name])]
        nearest = min(steps, default=None)
        return None if nearest is None or nearest[0] > 1 else self._left[name][nearest[1]]

    def train(self, name: str, settings: Settings) -> None:
        """Train a rival at a point, or read what an earlier process made of it.

        Args:
            name: Of the rival.
            settings: The point.
        """
        fitted: list[Fitted] = []
        self._left[name] = [point for point in self._left.get(name, ()) if dict(point) != dict(settings)]
        before = self.best.get(name)
        to_beat = None if before is None else before.few

        def train() -> dict[str, Any]:
            began, few, judged = time.perf_counter(), None, 0.0
            try:
                fitted.append(METHODS[name].fit(self.table, settings, self._seed))
                if self._few is not None:
                    few = judged_on("valid", self._few, self._task, fitted[0].scores_of)[self._task.metric]
                valid, whole = None, time.perf_counter()
                if few is None or to_beat is None or better(self._task, few, to_beat):
                    valid = judged_on("valid", self.table, self._task, fitted[0].scores_of)
                    judged = time.perf_counter() - whole
            except _FAILURES as error:
                return {"valid": None, "seconds": time.perf_counter() - began, "failed": str(error) or repr(error)}
            told = {"valid": valid, "few": few, "judged": judged, "served": fitted[0].served is not None}
            return told | {"seconds": time.perf_counter() - began, "known": fitted[0].known}

        made = self._stages.journal.once(f"{name} {dict(settings)}", train, [name, dict(settings), self._seed])
        self.seconds += made["seconds"]
        self._longest[name] = max(self._longest.get(name, 0.0), made["seconds"])
        valid, few, judged = made["valid"], made.get("few"), made.get("judged", 0.0)
        value = few if valid is None else valid[self._task.metric]
        told = {"rival": name, "settings": dict(settings), "value": value, "seconds": round(made["seconds"], 3)}
        self.done.append(told | ({"users": _FEW} if valid is None and value is not None else {}))
        if value is None:
            self._stages.note(f"rival {name} has no value at {dict(settings)}: {made['failed']}")
            self._left[name] = self._left[name] if name in self.best else []  # nor would it elsewhere
            return
        own = made["seconds"] - (judged if few is not None else 0.0)
        anew = own + made.get("known", 0.0)  # what was at hand from the point before is made again in a refit
        costs = {"own": anew, "judged": judged, "served": made.get("served"), "fitted": fitted[0] if fitted else None}
        now = Tuned(settings, valid or {}, few, **costs)
        start = now if before is None else before
        leads = before is None or (valid and better(self._task, value, before.valid[self._task.metric]))
        kept = now if leads else start
        sums = {"seconds": start.seconds + made["seconds"], "spent": start.spent + own, "trials": start.trials + 1}
        self.best[name] = replace(kept, **sums)

    def model(self, name: str) -> Fitted:
        """Return the trained model of a rival at its best point; trains it again where an earlier process did."""
        tuned = self.best[name]
        if tuned.fitted is None:
            tuned.fitted = METHODS[name].fit(self.table, tuned.settings, self._seed)
        return tuned.fitted

    def served(self, name: str) -> bool:
        """Return whether a rival's model can be handed over."""
        known = self.best[name].served
        return self.model(name).served is not None if known is None else known

    def tested(self, name: str) -> dict[str, float]:
        """Return a rival's metrics on the test part, which is read here."""
        return judged_on("test", PairTable.of(self._task), self._task, self.model(name).scores_of)


def judged_on(
    part: Literal["valid", "test"], table: PairTable, task: RankingTask, scores_of: ScoresOf
) -> dict[str, float]:
    """Return every metric of scores on a part; reads of the test part are counted.

    Args:
        part: The part.
        table: The pairs.
        task: Says how many places count, and counts.
        scores_of: Of a rival.
    """
    seen, relevant = (table.seen_valid, table.valid) if part == "valid" else (table.seen_test, table.test)
    task.test_reads += part == "test"
    batch = max(1, _SCORES // table.n_items)
    return rank_metrics(scores_of, seen, relevant, k=(task.settings.k,), batch=batch)


def _dearer(point: Settings, known: Settings) -> float:
    """Return how many times the seconds of a known point another one may take, 1 at least: by what sets its size."""
    times = 1.0
    for name, power in _SIZES.items():
        new, old = point.get(name), known.get(name)
        if isinstance(new, int | float) and isinstance(old, int | float) and new > old:
            times *= (new / old) ** power if old > 0 else _DECOMPOSED
    return times


def _places(grid: Sequence[Settings]) -> dict[str, list[Any]]:
    """Return the values of each setting of a grid, numbers in order."""
    names = dict.fromkeys(name for point in grid for name in point)
    made = {name: list(dict.fromkeys(point.get(name) for point in grid)) for name in names}
    return {name: sorted(each) if all(map(_is_number, each)) else each for name, each in made.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _steps(point: Settings, other: Settings, places: dict[str, list[Any]]) -> int:
    """Return how far points of a grid are apart: places along each axis; one for any other value that has no order."""
    far = 0
    for name, values in places.items():
        gap = abs(_place(values, point.get(name)) - _place(values, other.get(name)))
        far += gap if all(map(_is_number, values)) else gap > 0
    return far


def _place(values: list[Any], value: Any) -> int:
    """Return the place of a value, or of the nearest: a study may have been begun on another grid."""
    if value in values or not all(map(_is_number, [*values, value])):
        return values.index(value) if value in values else 0
    return min(range(len(values)), key=lambda place: abs(values[place] - value))


def _usable(name: str, table: PairTable) -> bool:
    method = METHODS[name]
    if method.package:
        from importlib.util import find_spec

        if find_spec(method.package) is None:
            return False
    return not method.refuse(table)

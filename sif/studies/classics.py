"""Rivals inside a study: methods of other recommenders, tuned point by point as the budget allows."""

import time
from dataclasses import dataclass
from typing import Any

from nasp_core.evaluation import better
from sif.metrics import rank_metrics
from sif.rivals.known import METHODS
from sif.rivals.method import Fitted, Settings
from sif.rivals.pair_table import PairTable
from sif.runs.stages import Stages
from sif.tasks import RankingTask

__all__ = ["CLASSICS", "Classics", "Tuned"]

CLASSICS = ("popularity", "ease", "als", "itemknn")
"""Cheapest and strongest first."""
_SCORES = 1 << 19


@dataclass
class Tuned:
    """A rival at its best point so far.

    Attributes:
        settings: Of the point.
        valid: Its validation metrics.
        seconds: Of all trainings of the rival.
        trials: How many there were.
        fitted: The model; None where an earlier process trained it.
    """

    settings: Settings
    valid: dict[str, float]
    seconds: float = 0.0
    trials: int = 0
    fitted: Fitted | None = None


class Classics:
    """Trains rivals on a ranking task, one point of one grid at a time; the most promising grid goes first."""

    def __init__(self, task: RankingTask, stages: Stages, seed: int) -> None:
        """Take the rivals that run on this table.

        Args:
            task: The ranking, with a validation part.
            stages: Of the run: a point is trained once.
            seed: Of all trainings.
        """
        self._task, self._stages, self._seed = task, stages, seed
        self.table = PairTable.of(task, needs=("train", "valid")).without_test()
        usable = [name for name in CLASSICS if _usable(name, self.table)]
        self._left = {name: list(METHODS[name].grid) for name in usable}
        self._longest = dict.fromkeys(usable, 0.0)
        self.best: dict[str, Tuned] = {}
        self.seconds = 0.0

    def step(self, remaining: float | None = None) -> bool:
        """Train the next point; return whether there was one that fits into the remaining seconds.

        Each rival has its first point first; then the rivals take turns, the better one half of them.
        """
        waiting = [name for name in self._left if self._left[name] and name not in self.best] or self._ranked()
        for name in waiting:
            if self._left[name] and (remaining is None or self._longest[name] <= remaining):
                self._train(name, self._left[name].pop(0))
                return True
        return False

    def _ranked(self) -> list[str]:
        names = sorted(self.best, key=lambda name: self.best[name].valid[self._task.metric], reverse=True)
        return sorted(names[: max(1, len(names) // 2)], key=lambda name: self.best[name].trials)

    def _train(self, name: str, settings: Settings) -> None:
        fitted: list[Fitted] = []

        def train() -> dict[str, Any]:
            began = time.perf_counter()
            fitted.append(METHODS[name].fit(self.table, settings, self._seed))
            valid = rank_metrics(
                fitted[0].scores_of,
                self.table.seen_valid,
                self.table.valid,
                k=(self._task.settings.k,),
                batch=max(1, _SCORES // self.table.n_items),
            )
            return {"valid": valid, "seconds": time.perf_counter() - began}

        made = self._stages.journal.once(f"{name} {dict(settings)}", train, [name, dict(settings), self._seed])
        self.seconds += made["seconds"]
        self._longest[name] = max(self._longest[name], made["seconds"])
        before, metric = self.best.get(name), self._task.metric
        model = fitted[0] if fitted else None
        if before is None or better(self._task, made["valid"][metric], before.valid[metric]):
            now = Tuned(settings, made["valid"], fitted=model)
            now.seconds, now.trials = (before.seconds, before.trials) if before else (0.0, 0)
            self.best[name] = now
        self.best[name].seconds += made["seconds"]
        self.best[name].trials += 1

    def model(self, name: str) -> Fitted:
        """Return the trained model of a rival at its best point; trains it again where an earlier process did."""
        tuned = self.best[name]
        if tuned.fitted is None:
            tuned.fitted = METHODS[name].fit(self.table, tuned.settings, self._seed)
        return tuned.fitted

    def served(self, name: str) -> bool:
        """Return whether a rival's model can be handed over."""
        return self.model(name).served is not None

    def tested(self, name: str) -> dict[str, float]:
        """Return a rival's metrics on the test part, which is read here."""
        table = PairTable.of(self._task)
        self._task.test_reads += 1
        batch = max(1, _SCORES // table.n_items)
        scores_of = self.model(name).scores_of
        return rank_metrics(scores_of, table.seen_test, table.test, k=(self._task.settings.k,), batch=batch)


def _usable(name: str, table: PairTable) -> bool:
    method = METHODS[name]
    if method.package:
        from importlib.util import find_spec

        if find_spec(method.package) is None:
            return False
    return not method.refuse(table)

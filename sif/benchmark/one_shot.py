"""How a one-shot search is brought to the size of a budget."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from nasp_core.loop import Observer
from nasp_core.network import Space
from nasp_core.optimise import Training
from nasp_core.search import Found, search
from nasp_core.strategy import Strategy
from nasp_core.types import Task
from sif.benchmark.budget import Budget, Clock, Sizing
from sif.benchmark.problem import RacePlan

__all__ = ["OneShot", "passes_of"]


class _Meter(Observer):
    """Notes the clock at the end of each epoch of the supernet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.searched = clock()

    def logged(self, record: dict[str, Any]) -> None:
        if record["phase"] == "search":
            self.searched = self._clock()


@dataclass
class OneShot:
    """Runs one-shot strategies on a task under a budget.

    - `space`: makes the supernet anew.
    - `training`: the supernet's schedule, whose epochs the budget decides; `final`: that of a network alone.
    """

    space: Callable[[], Space]
    task: Task
    training: Training
    final: Training
    budget: Budget
    clock: Clock

    @property
    def amount(self) -> float:
        """The budget in the unit that `sized` measures in: seconds, or passes over the training part."""
        return self.budget.amount if self.budget.unit == "seconds" else self.budget.passes(self.final.epochs)

    def sized(self, strategy: Strategy) -> Sizing:
        """Measure a search of one epoch: what the epoch costs, and what the selection after it does.

        Seconds are measured twice, and the lesser counts: a first search also fills caches.
        """
        tried = [self._measured(strategy) for _ in range(2 if self.budget.unit == "seconds" else 1)]
        return Sizing(min(each.each for each in tried), min(each.fixed for each in tried))

    def _measured(self, strategy: Strategy) -> Sizing:
        meter = _Meter(self.clock)
        began = self.clock()
        found = search(self.space(), self.task, strategy, self._of(1), final=self.final, observer=meter)
        ended = self.clock()
        if self.budget.unit == "seconds":
            return Sizing(meter.searched - began, ended - meter.searched)
        each = passes_of(found.trace, "search")
        return Sizing(each, passes_of(found.trace) - each)

    def plan(self, strategy: Strategy) -> RacePlan:
        """Return the `epochs` that the budget pays for, and what the least search takes (`least`)."""
        sizing = self.sized(strategy)
        return {"epochs": float(sizing.epochs(self.amount)), "least": sizing.each + sizing.fixed}

    def note(self, plan: RacePlan) -> str | None:
        """Say when the least search is more than the budget."""
        least = plan.get("least", 0.0)
        if least <= self.amount * (1 + 1e-9):
            return None
        unit = "s" if self.budget.unit == "seconds" else "passes"
        return f"beyond the budget: its least search, one epoch and the selection after it, takes {least:.1f} {unit}"

    def run(self, strategy: Strategy, epochs: int, seed: int) -> tuple[Found, float]:
        """Return what a search of that many epochs found, and the seconds it took."""
        began = self.clock()
        found = search(self.space(), self.task, strategy, self._of(epochs), final=self.final, seed=seed)
        return found, self.clock() - began

    def _of(self, epochs: int) -> Training:
        """Return the schedule of a supernet; what belongs to the training of a network alone is left out of it."""
        return replace(
            self.training,
            epochs=epochs,
            min_steps=0,
            evaluate_every=0,
            keep_best=False,
            patience=None,
            average_after=None,
            compile=False,
        )


def passes_of(trace: list[dict[str, Any]], phase: str = "") -> float:
    """Return the passes over the training part in a trace (of one `phase`); an epoch of a search counts two."""
    total = 0.0
    for record in trace:
        if phase in ("", record["phase"]):
            alone = record["phase"] in ("finalist", "trial")
            total += record["epochs"] if alone else 2 if record.get("alpha") else 1
    return total

"""What every strategy of a race may spend: seconds, trainings of points, or passes over the training part."""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from sif.errors import RaceError

__all__ = ["Budget", "Clock", "Sizing", "clock_of"]

Clock = Callable[[], float]
"""Tells seconds; only differences mean something."""
Unit = Literal["seconds", "evaluations", "epochs"]
_UNITS: dict[str, tuple[Unit, float]] = {
    "s": ("seconds", 1.0),
    "m": ("seconds", 60.0),
    "h": ("seconds", 3600.0),
    "evaluation": ("evaluations", 1.0),
    "training": ("evaluations", 1.0),
    "epoch": ("epochs", 1.0),
}


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount of one unit.

    - `seconds`: of one processor core (of wall-clock time on a GPU).
    - `evaluations`: whole trainings of a point, shares summed up.
    - `epochs`: passes over the training part; an epoch of a one-shot search counts two, one for the weights and one for
      the architecture step.
    """

    amount: float
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Return the budget of `60s`, `2m`, `1h`, `200evaluations` or `24epochs`; raises `RaceError` for others."""
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text)
        word = found[2] if found else ""
        unit = _UNITS.get(word) or _UNITS.get(word.removesuffix("s") if len(word) > 2 else "")
        if found is None or unit is None:
            raise RaceError(
                f"--budget {text!r} is no budget; give seconds (60s, 2m, 1h), trainings of points (200evaluations), "
                "or passes over the data (24epochs)"
            )
        budget = cls(float(found[1]) * unit[1], unit[0])
        if budget.amount <= 0 or (budget.unit != "seconds" and (budget.amount < 1 or budget.amount % 1)):
            raise RaceError(f"--budget {text!r}: {budget.unit} are more than 0, evaluations and epochs whole numbers")
        return budget

    def __str__(self) -> str:
        """Return the budget as text: `60 s`, `200 evaluations`."""
        return f"{self.amount:g} {'s' if self.unit == 'seconds' else self.unit}"

    def evaluations(self, epochs: int) -> float:
        """Return the budget in trainings of `epochs` passes each; of seconds there is no such number (`RaceError`)."""
        if self.unit == "seconds":
            raise RaceError(f"a budget of {self} is no number of trainings")
        return self.amount if self.unit == "evaluations" else self.amount / epochs

    def passes(self, epochs: int) -> float:
        """Return the budget in passes, where a training has `epochs`; of seconds there is no such number."""
        return self.evaluations(epochs) * epochs


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a one-shot search costs in the unit of the budget: `each` epoch, and `fixed`, the selection after them."""

    each: float
    fixed: float

    def epochs(self, amount: float) -> int:
        """Return how many epochs a budget pays for: 1 or more."""
        return max(1, math.floor((amount - self.fixed) / self.each + 1e-9)) if self.each > 0 else 1


def clock_of(device: torch.device) -> Clock:
    """Return the clock of a race on `device`: processor seconds on the CPU, wall-clock seconds elsewhere.

    Processor seconds are the same on a machine that others use too.
    """
    return time.process_time if device.type == "cpu" else time.perf_counter

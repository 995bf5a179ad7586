"""When there are architecture steps, and when weight steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nasp_core.errors import StrategyError
from nasp_core.strategy import Schedule

__all__ = ["StartAt", "Untrained"]


@dataclass(frozen=True)
class StartAt(Schedule):
    """Train the weights alone for the first `share` of the search: a warm-up (PC-DARTS: 15 of 50 epochs)."""

    share: float = 0.3

    def __post_init__(self) -> None:
        """Refuse to begin after the end."""
        if not 0 <= self.share < 1:
            raise StrategyError(f"{self.describe()}: the share must be in [0, 1)")

    def arch_step_due(self, step: int, progress: float) -> bool:
        """Return whether the warm-up is over."""
        return progress >= self.share


@dataclass(frozen=True)
class Untrained(Schedule):
    """Never train the weights; `rounds` architecture steps on fresh ones, and then nothing more."""

    rounds: int = 10

    gives: ClassVar[frozenset[str]] = frozenset({"untrained"})

    def __post_init__(self) -> None:
        """Refuse to look at nothing."""
        if self.rounds < 1:
            raise StrategyError(f"{self.describe()}: rounds must be 1 or more")

    def arch_step_due(self, step: int, progress: float) -> bool:
        """Return whether there are rounds left."""
        return step < self.rounds

    def weight_step_due(self, step: int, progress: float) -> bool:
        """Return False."""
        return False

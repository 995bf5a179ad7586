"""A warm-up: no architecture steps at first."""

from dataclasses import dataclass

from nasp_core.errors import StrategyError
from nasp_core.strategy import Schedule

__all__ = ["StartAt"]


@dataclass(frozen=True)
class StartAt(Schedule):
    """Train the weights alone for the first `share` of the search: a warm-up (PC-DARTS: 15 of 50 epochs)."""

    share: float = 0.3

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError`."""
        if not 0 <= self.share < 1:
            raise StrategyError(f"{self.describe()}: the share must be in [0, 1)")

    def arch_step_due(self, step: int, progress: float) -> bool:
        """Return whether the warm-up is over."""
        return progress >= self.share

"""A temperature that falls as the search goes on."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from nasp_core.errors import StrategyError
from nasp_core.strategy import Schedule, SearchView
from nasp_core.types import State

__all__ = ["Temperature"]


@dataclass(frozen=True)
class Temperature(Schedule):
    """Set the relaxation's temperature, from `start` to `end`: by equal factors (`exponential`) or equal differences.

    `after`: the share of the search through which it stays at `start`.
    """

    start: float = 1.0
    end: float = 0.1
    kind: Literal["exponential", "linear"] = "exponential"
    after: float = 0.0

    needs: ClassVar[dict[str, str]] = {"temperature": "there is no temperature to set; use relax = Softmax or Gumbel*"}

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError` for what is no temperature."""
        if min(self.start, self.end) <= 0 or not 0 <= self.after < 1 or self.kind not in ("exponential", "linear"):
            raise StrategyError(
                f"{self.describe()}: temperatures must be above 0, after in [0, 1), kind exponential or linear"
            )

    def at(self, progress: float) -> float:
        """Return the temperature at `progress` in [0, 1]."""
        share = max(0.0, (progress - self.after) / (1 - self.after))
        if self.kind == "linear":
            return self.start + (self.end - self.start) * share
        return float(self.start * (self.end / self.start) ** share)

    def advance(self, view: SearchView, state: State) -> None:
        """Set the temperature."""
        view.relax_state.temperature = self.at(view.progress)

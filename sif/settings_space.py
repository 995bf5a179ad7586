"""Settings spaces: typed ranges of the settings of a training."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Between", "OneOf", "SettingsSpace"]


@dataclass(frozen=True)
class Between:
    """A number between two, drawn evenly, or evenly in its logarithm.

    Attributes:
        low: The least.
        high: The most.
        log: Whether the logarithm is drawn.
    """

    low: float
    high: float
    log: bool = False

    def draw(self, generator: torch.Generator) -> float:
        """Return a value."""
        return self._at(float(torch.rand((), generator=generator)))

    def near(self, value: float, generator: torch.Generator) -> float:
        """Return a value near another: a normal step of a sixth of the range."""
        step = float(torch.randn((), generator=generator)) / 6
        return self._at(min(1.0, max(0.0, self._place(value) + step)))

    def _place(self, value: float) -> float:
        low, high, here = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return (here - low) / (high - low)

    def _at(self, place: float) -> float:
        low, high = (math.log(v) if self.log else v for v in (self.low, self.high))
        value = low + place * (high - low)
        return float(f"{math.exp(value) if self.log else value:.3g}")


@dataclass(frozen=True)
class OneOf:
    """One of some values; neighbours in the list are near.

    Attributes:
        values: What there is.
        ordered: Whether neighbours in the list are near each other.
    """

    values: tuple[Any, ...]
    ordered: bool = False

    def draw(self, generator: torch.Generator) -> Any:
        """Return a value."""
        return self.values[int(torch.randint(len(self.values), (), generator=generator))]

    def near(self, value: Any, generator: torch.Generator) -> Any:
        """Return another value: of an ordered list a neighbour."""
        if value not in self.values or not self.ordered:
            others = [each for each in self.values if each != value] or list(self.values)
            return others[int(torch.randint(len(others), (), generator=generator))]
        place = self.values.index(value)
        beside = [self.values[other] for other in (place - 1, place + 1) if 0 <= other < len(self.values)]
        return beside[int(torch.randint(len(beside), (), generator=generator))]


SettingsSpace = Mapping[str, Between | OneOf]
"""Dotted key of a recipe -> what may stand there."""

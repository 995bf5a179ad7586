"""Ranges: what a setting may be, typed, with a place in [0, 1] for each value."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from nasp_core.errors import did_you_mean
from sif.errors import RecipeError

__all__ = ["AnyOf", "Dimension", "Float", "Int", "Scalar", "SettingsSpace", "is_named"]

Scalar: TypeAlias = bool | int | float | str | None
_DIGITS = 4  # of a number that is drawn


@dataclass(frozen=True, slots=True)
class Float:
    """A real number from `low` to `high`, both included; `log` where its order of magnitude counts.

    Raises:
        RecipeError: The bounds are not finite or not in order, or `log` has a bound of 0 or less.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        """Check the bounds."""
        _check_bounds(self)

    @property
    def size(self) -> int | None:
        """How many values there are; None for more than can be counted."""
        return 1 if self.low == self.high else None

    def encode(self, value: Scalar) -> float:
        """Return the place of a value in [0, 1]."""
        assert isinstance(value, int | float)  # `fault` has seen it
        return _place(self, value)

    def decode(self, unit: float) -> float:
        """Return the value at a place in [0, 1]."""
        return self.nearest(float(f"{_value(self, unit):.{_DIGITS}g}"))

    def nearest(self, value: Scalar) -> float:
        """Return a number, or the bound that it lies beyond."""
        return min(max(float(value or 0.0), self.low), self.high)

    def fault(self, value: object) -> str:
        """Return what is wrong with a value, "" for nothing."""
        known = isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        return "" if known else f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number from `low` to `high`, both included; `log` where its order of magnitude counts.

    Raises:
        RecipeError: The bounds are not whole or not in order, or `log` has a bound of 0 or less.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        """Check the bounds."""
        _check_bounds(self)

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.high - self.low + 1

    def encode(self, value: Scalar) -> float:
        """Return the place of a value in [0, 1]."""
        assert isinstance(value, int)  # `fault` has seen it
        return _place(self, value)

    def decode(self, unit: float) -> int:
        """Return the value nearest to a place in [0, 1]."""
        return self.nearest(_value(self, unit))

    def nearest(self, value: Scalar) -> int:
        """Return a number rounded, or the bound that it lies beyond."""
        return min(max(round(float(value or 0.0)), self.low), self.high)

    def fault(self, value: object) -> str:
        """Return what is wrong with a value, "" for nothing."""
        known = isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high
        return "" if known else f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of a few values: names, booleans or None, which have no order; or numbers that may have one.

    Attributes:
        choices: The values.
        ordered: Whether neighbours in the list are near each other: numbers, smallest first.

    Raises:
        RecipeError: There is no value, one stands twice, one is not plain, or what is ordered are no rising numbers.
    """

    choices: tuple[Scalar, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        plain = all(each is None or type(each) in (bool, int, float, str) for each in self.choices)
        if not plain or not self.choices or len({*self.choices}) < len(self.choices):
            raise RecipeError(
                f"AnyOf({self.choices!r}): give one or more different values, each a name, a number, a boolean or None"
            )
        numbers = [each for each in self.choices if isinstance(each, int | float)]
        if self.ordered and (len(numbers) < self.size or numbers != sorted(numbers)):
            raise RecipeError(f"AnyOf({self.choices!r}, ordered=True): give numbers, the smallest first")

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.choices)

    def encode(self, value: Scalar) -> float:
        """Return the middle of a value's share of [0, 1]."""
        return (self.choices.index(value) + 0.5) / self.size

    def decode(self, unit: float) -> Scalar:
        """Return the value whose share of [0, 1] holds a place."""
        return self.choices[min(int(unit * self.size), self.size - 1)]

    def nearest(self, value: Scalar) -> Scalar:
        """Return a value of the list; another number its nearest, where they are ordered, else the first."""
        if not self.fault(value) or not (self.ordered and isinstance(value, int | float)):
            return self.choices[0] if self.fault(value) else value
        return min(self.choices, key=lambda each: abs(float(each or 0.0) - value))

    def fault(self, value: object) -> str:
        """Return what is wrong with a value, "" for nothing."""
        if _token(value) in map(_token, self.choices):
            return ""
        names = [*map(str, self.choices)]
        return f"one of {', '.join(names)}{did_you_mean(str(value), names, '; did you mean {}?')}"


Dimension: TypeAlias = Float | Int | AnyOf
SettingsSpace: TypeAlias = Mapping[str, Dimension]
"""Dotted key of a recipe -> what may stand there."""


def is_named(dimension: Dimension) -> bool:
    """Return whether the values of a range are names, of which none is nearer to one than another."""
    return isinstance(dimension, AnyOf) and not dimension.ordered


def _check_bounds(dimension: Float | Int) -> None:
    low, high, kind = dimension.low, dimension.high, type(dimension).__name__
    whole = isinstance(dimension, Float) or (type(low) is int and type(high) is int)
    if not (whole and math.isfinite(low) and math.isfinite(high) and low <= high):
        raise RecipeError(
            f"{kind}({low!r}, {high!r}): give finite {'' if whole else 'whole '}bounds, the lower one first"
        )
    if dimension.log and low <= 0:
        raise RecipeError(f"{kind}({low!r}, {high!r}, log=True): a logarithm needs a lower bound above 0")


def _place(dimension: Float | Int, value: float) -> float:
    low, high = _ends(dimension)
    place = 0.5 if low == high else ((math.log(value) if dimension.log else value) - low) / (high - low)
    return round(place, 12)  # so that the place of the value of a place is that place


def _value(dimension: Float | Int, unit: float) -> float:
    low, high = _ends(dimension)
    value = low + unit * (high - low)
    return math.exp(value) if dimension.log else value


def _ends(dimension: Float | Int) -> tuple[float, float]:
    """Return the values at 0 and 1; a whole number has a share of half a unit around it, ends included."""
    low, high = float(dimension.low), float(dimension.high)
    if isinstance(dimension, Int):
        low, high = low - 0.5, high + 0.5
    return (math.log(low), math.log(high)) if dimension.log else (low, high)


def _token(value: object) -> str:
    """Return what tells values apart that are equal in Python: True and 1, 1 and 1.0."""
    return f"{type(value).__name__}:{value!r}"

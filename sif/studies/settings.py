"""Configurations: an architecture's choices and the settings it is trained with, as typed ranges and plain values."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nasp_core.errors import did_you_mean
from sif.errors import RecipeError

__all__ = ["AnyOf", "ConfigurationSpace", "Dimension", "Float", "Int", "PlainConfiguration", "Scalar"]

Scalar: TypeAlias = bool | int | float | str | None
PlainConfiguration: TypeAlias = dict[str, dict[str, Scalar]]
"""`{"architecture": {choice: candidate}, "settings": {name: value}}`: plain JSON."""

LARGEST = 10_000  # configurations that are listed, and asked about one and all


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
        return min(max(_value(self, unit), self.low), self.high)

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
        return min(max(round(_value(self, unit)), self.low), self.high)

    def fault(self, value: object) -> str:
        """Return what is wrong with a value, "" for nothing."""
        known = isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high
        return "" if known else f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of a few values that have no order: names, numbers, booleans or None.

    Raises:
        RecipeError: There is no value, one stands twice, or one is not plain.
    """

    choices: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        """Check the values."""
        plain = all(each is None or type(each) in (bool, int, float, str) for each in self.choices)
        if not plain or not self.choices or len({*self.choices}) < len(self.choices):
            raise RecipeError(
                f"AnyOf({self.choices!r}): give one or more different values, each a name, a number, a boolean or None"
            )

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

    def fault(self, value: object) -> str:
        """Return what is wrong with a value, "" for nothing."""
        if _token(value) in map(_token, self.choices):
            return ""
        names = [*map(str, self.choices)]
        return f"one of {', '.join(names)}{did_you_mean(str(value), names, '; did you mean {}?')}"


Dimension: TypeAlias = Float | Int | AnyOf


@dataclass(frozen=True)
class ConfigurationSpace:
    """All configurations: the choices of an architecture, and the settings it is trained with.

    Args:
        architecture: Choice to its candidates.
        settings: Setting to its range.
        canonical: Returns the configuration that is trained where another is asked for: what an architecture does not
            read gets one value, an architecture that cannot be built becomes one that can. None: each is its own.
    """

    architecture: Mapping[str, AnyOf]
    settings: Mapping[str, Dimension]
    canonical: Callable[[PlainConfiguration], PlainConfiguration] | None = None

    @property
    def parts(self) -> dict[str, Mapping[str, Dimension]]:
        """The two parts of a configuration, by name."""
        return {"architecture": {**self.architecture}, "settings": self.settings}

    @cached_property
    def dimensions(self) -> dict[tuple[str, str], Dimension]:
        """(Part, name) to range, in the order of columns of the unit cube."""
        return {(part, name): each for part, names in self.parts.items() for name, each in names.items()}

    @property
    def size(self) -> int | None:
        """How many configurations there are; None for more than can be counted."""
        sizes = [each.size for each in self.dimensions.values()]
        return None if None in sizes else math.prod(each for each in sizes if each is not None)

    def check(self, configuration: Any, origin: str = "configuration") -> PlainConfiguration:
        """Return a configuration in the space's own order, or say all that is wrong with it.

        Args:
            configuration: Plain data, say from JSON.
            origin: What it is called in the error.

        Raises:
            RecipeError: Names are missing or not known, or values are not in their range.
        """
        found: list[str] = []
        given = _mapping(configuration, self.parts, "", found)
        checked: PlainConfiguration = {}
        for part, names in self.parts.items():
            values = _mapping(given.get(part, {}), names, f"{part}.", found)
            checked[part] = {name: values.get(name) for name in names}
            for name, dimension in names.items():
                if name in values and (wanted := dimension.fault(values[name])):
                    found.append(f"{part}.{name} = {values[name]!r}; it must be {wanted}")
                elif name in values and isinstance(dimension, Float):
                    checked[part][name] = float(values[name])
        if found:
            count = f"{len(found)} problem{'s' * (len(found) > 1)}"
            raise RecipeError("\n  ".join([f"{origin} has {count}", *found]))
        return checked if self.canonical is None else self.canonical(checked)

    def key(self, configuration: PlainConfiguration) -> str:
        """Return a checked configuration as one line of JSON: equal for equal configurations alone."""
        return json.dumps(configuration, sort_keys=True)

    def encode(self, configuration: PlainConfiguration) -> NDArray[np.float64]:
        """Return the place of a checked configuration in the unit cube: float64 `[dimensions]`."""
        placed = [each.encode(configuration[part][name]) for (part, name), each in self.dimensions.items()]
        return np.array(placed, dtype=np.float64)

    def decode(self, unit: NDArray[np.float64]) -> PlainConfiguration:
        """Return the configuration at a place in the unit cube `[dimensions]`."""
        found: PlainConfiguration = {"architecture": {}, "settings": {}}
        for place, ((part, name), dimension) in zip(unit, self.dimensions.items(), strict=True):
            found[part][name] = dimension.decode(float(place))
        return found if self.canonical is None else self.canonical(found)

    @cached_property
    def grid(self) -> NDArray[np.float64] | None:
        """Every canonical configuration's place in the unit cube, float64 `[n, dimensions]`; None above `LARGEST`."""
        if self.size is None or self.size > LARGEST:
            return None
        values = [[each.encode(value) for value in _values(each)] for each in self.dimensions.values()]
        return self.canonical_places(np.array([*product(*values)], dtype=np.float64).reshape(self.size, -1))

    def canonical_places(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the places `[n, dimensions]` of the configurations that are trained there, each once, in order."""
        canonical = places if self.canonical is None else [self.encode(self.decode(each)) for each in places]
        kept = {each.tobytes(): each for each in np.asarray(canonical, dtype=np.float64)}
        return np.array([*kept.values()], dtype=np.float64).reshape(-1, len(self.dimensions))


def _values(dimension: Dimension) -> list[Scalar]:
    if isinstance(dimension, AnyOf):
        return [*dimension.choices]
    return [*range(dimension.low, dimension.high + 1)] if isinstance(dimension, Int) else [dimension.low]


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


def _mapping(given: Any, names: Mapping[str, Any], prefix: str, found: list[str]) -> dict[str, Any]:
    """Return what was given for known names; what is missing, not known or no mapping goes on the list."""
    if not isinstance(given, Mapping):
        found.append(f"{prefix.rstrip('.') or 'it'} = {given!r}; it must be a table of names and values")
        return {}
    for name in given:
        if name not in names:
            hint = did_you_mean(str(name), names, "did you mean {}?", f"there are {', '.join(names) or 'none'}")
            found.append(f"{prefix}{name} is not known; {hint}")
    found += [f"{prefix}{name} is missing" for name in names if name not in given]
    return {name: value for name, value in given.items() if name in names}

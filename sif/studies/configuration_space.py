"""The space of configurations: an architecture's choices and the settings it is trained with, as plain values."""

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
from sif.ranges import AnyOf, Dimension, Float, Int, Scalar

__all__ = ["ConfigurationSpace", "PlainConfiguration"]

PlainConfiguration: TypeAlias = dict[str, dict[str, Scalar]]
"""`{"architecture": {choice: candidate}, "settings": {name: value}}`: plain JSON."""

LARGEST = 10_000  # configurations that are listed, and asked about one and all


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
        for place, ((part, name), dimension) in zip(unit.tolist(), self.dimensions.items(), strict=True):
            found[part][name] = dimension.decode(place)
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
        rows = (self.encode(self.decode(each)) for each in places)
        kept = {each.tobytes(): each for each in rows}
        return np.array([*kept.values()], dtype=np.float64).reshape(-1, len(self.dimensions))


def _values(dimension: Dimension) -> list[Scalar]:
    if isinstance(dimension, AnyOf):
        return [*dimension.choices]
    return [*range(dimension.low, dimension.high + 1)] if isinstance(dimension, Int) else [dimension.low]


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

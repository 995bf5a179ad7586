"""A walk over the settings of a small network: from its best point to the neighbours of that."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sif.ranges import AnyOf, SettingsSpace

__all__ = ["next_point"]

_STEPS = (0.2, 0.1, 0.05)  # of the range, one after the other: the next where the last has nothing better


def next_point(
    best: Mapping[str, Any], own: Mapping[str, Any], tried: Sequence[Mapping[str, Any]], ranges: SettingsSpace
) -> dict[str, Any] | None:
    """Return the settings to try next: those nearest to the best that were not tried; None where there are none.

    A compass search (Hooke and Jeeves 1961): one setting at a time goes a step up or down; the step becomes smaller
    where no neighbour is better. It depends on what it is given alone.

    Args:
        best: The settings that did best, those of `ranges` that differ from `own`.
        own: What holds where settings are silent.
        tried: Settings that are known.
        ranges: What the walk may change, and within which bounds.
    """
    known = [{**own, **each} for each in tried]
    for point in _neighbours({key: own[key] for key in ranges} | dict(best), ranges):
        if {**own, **point} not in known:
            return point
    return None


def _neighbours(best: Mapping[str, Any], ranges: SettingsSpace) -> Iterator[dict[str, Any]]:
    for step in _STEPS:
        for key, each in ranges.items():
            place = each.encode(each.nearest(best[key]))
            far = max(step, 1 / each.size) if isinstance(each, AnyOf) else step
            for unit in (min(place + far, 1.0), max(place - far, 0.0)):
                if (value := each.decode(unit)) != best[key]:
                    yield {**best, key: value}

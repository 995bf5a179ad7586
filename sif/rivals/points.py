"""Published models that are points of the wide space."""

from sif.rivals.base import Rival, point
from sif.spaces.wide_points import NAMED

__all__ = ["POINTS"]

POINTS = tuple(Rival(name, known.source, {"wide": point(name), "lists": point(name)}) for name, known in NAMED.items())
"""Every named point; those that have more sides are rivals of their own, which stand before these in `RIVALS`."""

"""The identities on the edges of a cell, and hooks on what they pass on."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from nasp_core.edge import SupernetEdge
from nasp_core.network import Space
from nasp_core.strategy import Attached

__all__ = ["SKIP", "Handles", "edges_of", "skips_of"]

SKIP = "skip_connect"


def edges_of(space: Space) -> list[SupernetEdge]:
    """Return the edges of the cells; empty on a space that has none."""
    return [module for module in space.modules() if isinstance(module, SupernetEdge)]


def skips_of(space: Space) -> Iterator[nn.Module]:
    """Yield the identity of each edge that has one."""
    for edge in edges_of(space):
        if SKIP in edge.names:
            yield edge[edge.names.index(SKIP)]


class Handles(Attached):
    """Forward hooks on modules."""

    def __init__(self, handles: list[Any]) -> None:
        self.handles = handles

    def detach(self) -> None:
        """Remove the hooks."""
        for handle in self.handles:
            handle.remove()

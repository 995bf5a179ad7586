"""An edge of a supernet, as hooks see it: its candidates as modules, and what a hook may add to them."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

__all__ = ["SupernetEdge"]


class SupernetEdge(nn.ModuleList):
    """The candidates of one edge that have something to run; a space that has such edges subclasses this.

    - `names`: the candidates' names, in their order.
    - `extra`: what a hook adds to the edge's output while the supernet is searched; from what the candidates see.
    """

    def __init__(self, names: Sequence[str], candidates: Sequence[nn.Module]) -> None:
        super().__init__(candidates)
        self.names = tuple(names)
        self.extra: Callable[[Any], Tensor] | None = None

    def fresh(self, name: str) -> nn.Module:
        """Return a candidate of this edge by name, newly made and not part of it."""
        raise NotImplementedError

    def narrowed(self, share: int) -> "SupernetEdge":
        """Return a new edge like this one; its candidates see 1 / `share` of the channels, or the nearest that fits."""
        raise NotImplementedError

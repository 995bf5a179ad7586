"""What is put on the edges of cells while they are searched: narrow candidates, hooks on identities."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from nasp_core.edge import SupernetEdge
from nasp_core.errors import StrategyError
from nasp_core.network import Space
from nasp_core.strategy import Attached, Hook

__all__ = ["SKIP", "Handles", "PartialChannels", "edges_of", "skips_of"]

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


class _Narrowed(Attached):
    def __init__(self, replaced: list[tuple[nn.Module, str, SupernetEdge]]) -> None:
        self.replaced = replaced

    def detach(self) -> None:
        for parent, name, edge in self.replaced:
            parent.register_module(name, edge)


@dataclass(frozen=True)
class PartialChannels(Hook):
    """Candidates see the first 1 / `share` of the channels, the others pass by, then all are shuffled (Xu et al. 2020).

    Memory and time of an edge fall by as much (arXiv:1907.05737, section 3.2). Where a cell has too few channels for
    the share, the largest that leaves an even number. On a space without such edges, nothing.
    """

    share: int = 4

    least: ClassVar[dict[str, float]] = {"share": 1}

    def attach(self, space: Space) -> Attached:
        """Put narrow edges in place of the whole ones."""
        replaced: list[tuple[nn.Module, str, SupernetEdge]] = []
        for parent in list(space.modules()):
            for name, edge in list(parent.named_children()):
                if isinstance(edge, SupernetEdge):
                    if edge.extra is not None or any(candidate._forward_hooks for candidate in edge):
                        raise StrategyError(
                            f"{self.describe()} puts new edges in place of those that another hook is on; give it first"
                        )
                    narrow = edge.narrowed(self.share)
                    parent.register_module(name, narrow.to(next(space.parameters()).device))
                    replaced.append((parent, name, edge))
        return _Narrowed(replaced)

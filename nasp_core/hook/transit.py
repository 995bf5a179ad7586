"""One cell of each kind runs the whole mixture, the others the network that it stands for."""

from __future__ import annotations

from dataclasses import dataclass

from nasp_core.network import Space
from nasp_core.strategy import Attached, Hook

__all__ = ["Transit"]


class _InTransit(Attached):
    def __init__(self, space: Space, cells: frozenset[int]) -> None:
        self.space, space.transit = space, cells

    def detach(self) -> None:
        self.space.transit = frozenset()


@dataclass(frozen=True)
class Transit(Hook):
    """Engine cells and transit cells (Yang et al. 2021, EnTranNAS, arXiv:2101.11342, section 3.2).

    The last cell of each kind is the engine: it runs the mixture, and alpha learns from it. All others are derived from
    it in every step: they run the point nearest to the mixture. On a space without several cells of a kind, nothing.
    """

    def attach(self, space: Space) -> Attached:
        """Say which cells are in transit."""
        kinds = space.cell_kinds()
        engines = {kind: number for number, kind in enumerate(kinds)}
        return _InTransit(space, frozenset(range(len(kinds))) - frozenset(engines.values()))

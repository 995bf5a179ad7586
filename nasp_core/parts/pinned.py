"""One given point, whatever alpha says: for training a single architecture with its continuous parameters."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.network import Space
from nasp_core.strategy import Relax
from nasp_core.types import Alpha, Mixture, Phase, RelaxState

__all__ = ["Pinned"]


@dataclass(frozen=True)
class Pinned(Relax):
    """Keep the architecture at `point` (group and live candidates of each choice); alpha gets no gradient."""

    point: tuple[tuple[str, tuple[int, ...]], ...]

    gives: ClassVar[frozenset[str]] = frozenset({"discrete", "pinned"})

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return the point."""
        return Mixture(active=dict(self.point))

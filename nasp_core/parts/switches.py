"""One free weight for each candidate: BayesNAS' and FreeDARTS' domain."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.strategy import Domain
from nasp_core.types import Alpha, group_names

__all__ = ["Switches"]


@dataclass(frozen=True)
class Switches(Domain):
    """Alpha is a switch for each candidate, of either sign: candidates do not compete for a sum of one.

    It starts at 1 / candidates plus noise. Candidates are compared by |alpha|.
    """

    noise: float = 1e-3

    gives: ClassVar[frozenset[str]] = frozenset({"switches"})

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return switches that are on alike, but for the noise; float32 `[choices, candidates]` per group."""
        alpha: Alpha = {}
        for group in space.groups:
            drawn = self.start(len(group.candidates)) + self.noise * torch.randn(group.shape, generator=generator)
            alpha[group.name] = drawn.to(device).requires_grad_()
        return alpha

    def start(self, candidates: int) -> float:
        """Return where each switch starts."""
        return 1.0 / candidates

    def scores(self, alpha: dict[str, Tensor], space: Space) -> dict[str, Tensor]:
        """Return how far each candidate is switched on."""
        return {name: alpha[name].abs() for name in group_names(alpha)}

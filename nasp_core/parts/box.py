"""Alpha in a box, the domain of NASP."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.errors import StrategyError
from nasp_core.network import Space
from nasp_core.strategy import Domain
from nasp_core.types import Alpha

__all__ = ["Box"]


@dataclass(frozen=True)
class Box(Domain):
    """Keep every alpha in [low, high] by clipping after each step (NASP's C2, Yao et al. 2020, eq. 6).

    Alpha starts at `start` plus Gaussian noise of standard deviation `noise`. With no noise every choice
    starts at a tie, which the lowest index wins: the first architecture is then the same for every seed.
    """

    low: float = 0.0
    high: float = 1.0
    start: float = 0.5
    noise: float = 1e-3

    gives: ClassVar[frozenset[str]] = frozenset({"box"})

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return alpha at `start` plus noise, float32 `[choices, candidates]` per group."""
        return {
            group.name: (self.start + self.noise * torch.randn(group.shape, generator=generator))
            .clamp_(self.low, self.high)
            .to(device)
            .requires_grad_()
            for group in space.groups
        }

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError` for an empty box and a negative noise."""
        if not self.low < self.high or self.noise < 0:
            raise StrategyError(f"{self.describe()}: needs low < high and noise >= 0")

    @torch.no_grad()
    def retract(self, alpha: Alpha) -> None:
        """Clip alpha to the box, in place (prox of C2)."""
        for tensor in alpha.values():
            tensor.clamp_(self.low, self.high)

"""Unconstrained alpha, the domain of DARTS."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.network import Space
from nasp_core.strategy import Domain
from nasp_core.types import Alpha

__all__ = ["Logits"]


@dataclass(frozen=True)
class Logits(Domain):
    """Leave alpha free; it starts as Gaussian noise of standard deviation `noise` around zero."""

    noise: float = 1e-3

    gives: ClassVar[frozenset[str]] = frozenset({"logits"})

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return small random logits, float32 `[choices, candidates]` per group."""
        return {
            group.name: (self.noise * torch.randn(group.shape, generator=generator)).to(device).requires_grad_()
            for group in space.groups
        }

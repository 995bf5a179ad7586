"""Unconstrained alpha, the domain of DARTS."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.strategy import Domain
from nasp_core.types import Alpha, group_names

__all__ = ["Logits"]


@dataclass(frozen=True)
class Logits(Domain):
    """Leave alpha free; it starts as Gaussian noise of standard deviation `noise` around zero.

    The final selection compares candidates, of different choices too, by softmax(alpha) (DARTS, section 2.4).
    """

    noise: float = 1e-3

    gives: ClassVar[frozenset[str]] = frozenset({"logits"})

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return small random logits, float32 `[choices, candidates]` per group."""
        return {
            group.name: (self.noise * torch.randn(group.shape, generator=generator)).to(device).requires_grad_()
            for group in space.groups
        }

    def scores(self, alpha: dict[str, Tensor], space: Space) -> dict[str, Tensor]:
        """Return the weights that the candidates have in the mixture."""
        return {name: torch.softmax(alpha[name], dim=-1) for name in group_names(alpha)}

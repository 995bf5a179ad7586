"""One free weight for each candidate: BayesNAS' and GOLD-NAS' domain."""

from __future__ import annotations

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
    """Alpha is a switch for each candidate: candidates do not compete for a sum of one.

    It starts at `start` / candidates plus noise (`even`), or at `start` itself. Candidates are compared by |alpha|, or
    where `signed` by alpha.
    """

    start: float = 1.0
    noise: float = 1e-3
    even: bool = True
    signed: bool = False

    gives: ClassVar[frozenset[str]] = frozenset({"switches", "logits"})

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return switches that are all on alike, but for the noise; float32 `[choices, candidates]` per group."""
        alpha: Alpha = {}
        for group in space.groups:
            level = self.start / len(group.candidates) if self.even else self.start
            drawn = level + self.noise * torch.randn(group.shape, generator=generator)
            alpha[group.name] = drawn.to(device).requires_grad_()
        return alpha

    def scores(self, alpha: dict[str, Tensor], space: Space) -> dict[str, Tensor]:
        """Return how far each candidate is switched on."""
        return {name: alpha[name] if self.signed else alpha[name].abs() for name in group_names(alpha)}

"""All candidates at once, weighted by a softmax: DARTS' relaxation."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts.alive import masked
from nasp_core.strategy import Relax
from nasp_core.types import Alpha, Mixture, Phase, RelaxState

__all__ = ["Dense", "Softmax"]


@dataclass(frozen=True)
class Dense(Relax):
    """Mix all candidates that are alive, with weights that a subclass makes of alpha (`shares`)."""

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return the dense mixture; in the weight step without gradient to alpha."""
        weights = self.shares(alpha, space, state)
        if phase == "weight":
            weights = {name: tensor.detach() for name, tensor in weights.items()}
        return Mixture(weights=weights, kept=state.kept())


@dataclass(frozen=True)
class Softmax(Dense):
    """Mix all candidates with weights softmax(alpha / temperature) (DARTS, Liu et al. 2019, eq. 2)."""

    temperature: float = 1.0

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth", "convex", "temperature", "shares"})

    def shares(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return the weights, with alpha's graph."""
        temperature = state.temperature or self.temperature
        return {name: torch.softmax(t / temperature, dim=-1) for name, t in masked(alpha, state.alive).items()}

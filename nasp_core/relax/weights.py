"""Alpha itself as the weights of the mixture: GAEA's relaxation, and BayesNAS' switches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.relax.alive import masked
from nasp_core.relax.softmax import Dense
from nasp_core.types import Alpha, State

__all__ = ["Gates", "Weights"]


@dataclass(frozen=True)
class Weights(Dense):
    """Mix all candidates with alpha as it stands (Li et al. 2021, section 3; Zhou et al. 2019, eq. 3)."""

    gives: ClassVar[frozenset[str]] = frozenset({"slope", "smooth", "shares"})
    needs: ClassVar[dict[str, str]] = {
        "simplex|switches": "weights that no function bounds need a domain that does; use domain = Simplex or Switches"
    }

    def shares(self, alpha: Alpha, space: Space, state: State) -> dict[str, Tensor]:
        """Return alpha, zero where pruned."""
        return masked(alpha, state, dead=0.0)


@dataclass(frozen=True)
class Gates(Dense):
    """Mix all candidates with weights sigmoid(alpha): candidates do not compete (Bi et al. 2020, arXiv:2007.03331)."""

    gives: ClassVar[frozenset[str]] = frozenset({"slope", "smooth", "shares", "gates"})
    needs: ClassVar[dict[str, str]] = {"gated": "gates need logits of their own; use domain = Gated"}

    def shares(self, alpha: Alpha, space: Space, state: State) -> dict[str, Tensor]:
        """Return the gates, zero where pruned."""
        return {name: torch.sigmoid(t) for name, t in masked(alpha, state).items()}

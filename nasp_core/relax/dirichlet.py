"""Weights drawn from a Dirichlet distribution: DrNAS' relaxation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from nasp_core.network import Space
from nasp_core.relax.alive import alive_of, kept_of
from nasp_core.relax.softmax import Dense
from nasp_core.types import Alpha, Mixture, Phase, State, group_names

__all__ = ["Dirichlet", "concentration", "dirichlet_sample"]


def concentration(alpha: Tensor) -> Tensor:
    """Return elu(alpha) + 1, above zero (Chen et al. 2021, section 3.1)."""
    return functional.elu(alpha) + 1.0 + 1e-6


def dirichlet_sample(concentrations: Tensor, generator: torch.Generator) -> Tensor:
    """Return a draw `[choices, candidates]` of each row's Dirichlet, with path-wise gradients to its concentrations.

    Gamma draws are differentiated implicitly (Figurnov et al. 2018); drawn on the CPU, so that a seed gives the same
    draws on every device.
    """
    gamma = torch._standard_gamma(concentrations.cpu(), generator=generator).clamp_min(1e-30)
    return (gamma / gamma.sum(-1, keepdim=True)).to(concentrations.device)


@dataclass(frozen=True)
class Dirichlet(Dense):
    """Weights ~ Dir(elu(alpha) + 1), drawn anew in every step (Chen et al. 2021, arXiv:2006.10355, eq. 2).

    A validation of the supernet sees the mean. Pruned candidates draw next to nothing, and do not run.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"slope", "smooth", "convex", "shares", "random", "dirichlet"})

    def shares(self, alpha: Alpha, space: Space, state: State) -> dict[str, Tensor]:
        """Return the mean weights, with alpha's graph."""
        rows = self._concentrations(alpha, state)
        return {name: c / c.sum(-1, keepdim=True) for name, c in rows.items()}

    def mixture(self, alpha: Alpha, space: Space, phase: Phase, state: State, generator: torch.Generator) -> Mixture:
        """Return a dense mixture of drawn weights."""
        if phase == "valid":
            return Mixture(weights=self.shares(alpha, space, state), kept=kept_of(state))
        weights, alive = {}, alive_of(state)
        for name, c in self._concentrations(alpha, state).items():
            drawn = dirichlet_sample(c.detach() if phase == "weight" else c, generator)
            weights[name] = drawn if alive is None else drawn * alive[name].to(drawn.device)
        return Mixture(weights=weights, kept=kept_of(state))

    @staticmethod
    def _concentrations(alpha: Alpha, state: State) -> dict[str, Tensor]:
        alive = alive_of(state)
        rows = {name: concentration(alpha[name]) for name in group_names(alpha)}
        if alive is None:
            return rows
        # a concentration of next to nothing draws next to nothing
        return {name: torch.where(alive[name].to(c.device), c, torch.full_like(c, 1e-20)) for name, c in rows.items()}

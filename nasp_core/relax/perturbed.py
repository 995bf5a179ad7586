"""Softmax weights of alpha moved about: BaLeNAS' samples and NA-NAS' neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.domain.gaussian import PRECISION
from nasp_core.network import Space
from nasp_core.relax.softmax import Softmax
from nasp_core.types import Alpha, Mixture, Phase, State, group_names

__all__ = ["GaussianSoftmax", "Neighbourhood"]


def _moved(alpha: Alpha, scale: dict[str, torch.Tensor | float], generator: torch.Generator) -> Alpha:
    """Return the groups of alpha plus scale * standard normal noise."""
    noise = {name: torch.randn(alpha[name].shape, generator=generator).to(alpha[name].device) for name in scale}
    return {name: alpha[name] + scale[name] * noise[name] for name in scale}


@dataclass(frozen=True)
class GaussianSoftmax(Softmax):
    """softmax(mu + noise / sqrt(precision)) with new noise in every step (Zhang et al. 2022, eq. 6).

    A validation of the supernet sees softmax(mu).
    """

    gives: ClassVar[frozenset[str]] = frozenset({"slope", "smooth", "convex", "temperature", "shares", "random"})
    needs: ClassVar[dict[str, str]] = {"gaussian": "samples need a precision; use domain = Gaussian"}

    def mixture(self, alpha: Alpha, space: Space, phase: Phase, state: State, generator: torch.Generator) -> Mixture:
        """Return a dense mixture at a drawn alpha."""
        if phase != "valid":
            deviation = {name: alpha[f"{name}/{PRECISION}"].rsqrt() for name in group_names(alpha)}
            alpha = _moved(alpha, {**deviation}, generator)
        return super().mixture(alpha, space, phase, state, generator)


@dataclass(frozen=True)
class Neighbourhood(Softmax):
    """An architecture step follows the mean loss of alpha and `samples` neighbours (Wang et al. 2021, section 3.2).

    Neighbours are alpha plus Gaussian noise of standard deviation `radius`: what does well only in one place, and not
    around it, is not followed (arXiv:2105.06369).
    """

    radius: float = 0.1
    samples: int = 2

    gives: ClassVar[frozenset[str]] = frozenset({"slope", "smooth", "convex", "temperature", "shares", "random"})

    def paths(
        self, alpha: Alpha, space: Space, phase: Phase, state: State, generator: torch.Generator
    ) -> tuple[Mixture, ...]:
        """Return the mixture, and in the architecture step its neighbours'."""
        own = self.mixture(alpha, space, phase, state, generator)
        if phase != "arch":
            return (own,)
        scale: dict[str, torch.Tensor | float] = dict.fromkeys(group_names(alpha), self.radius)
        around = (_moved(alpha, scale, generator) for _ in range(self.samples))
        return (own, *(self.mixture(other, space, phase, state, generator) for other in around))

"""Points drawn without regard to alpha: SPOS' paths."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.network import Space
from nasp_core.parts.alive import masked
from nasp_core.parts.one_hot import on_host
from nasp_core.strategy import Relax
from nasp_core.types import Alpha, Mixture, Phase, RelaxState

__all__ = ["Uniform"]


@dataclass(frozen=True)
class Uniform(Relax):
    """A uniformly drawn point in every step (Guo et al. 2020, arXiv:1904.00420, section 3.2)."""

    gives: ClassVar[frozenset[str]] = frozenset({"discrete", "random"})

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return a new point; in a validation one that draws nothing, nearest to alpha as it started."""
        if phase == "valid":
            return Mixture(active=space.constrain(on_host(masked(alpha, state.alive))))
        return Mixture(active=space.random_point(generator))

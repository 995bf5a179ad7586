"""Points drawn without regard to alpha: SPOS' paths, FairNAS' rounds, GreedyNAS' pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.network import Space
from nasp_core.relax.alive import masked
from nasp_core.relax.fair_turns import FairTurns
from nasp_core.relax.one_hot import on_host
from nasp_core.strategy import Relax
from nasp_core.types import Alpha, Mixture, Phase, State

__all__ = ["FairRounds", "Pooled", "Uniform"]


@dataclass(frozen=True)
class Uniform(Relax):
    """A uniformly drawn point in every step (Guo et al. 2020, arXiv:1904.00420, section 3.2)."""

    gives: ClassVar[frozenset[str]] = frozenset({"discrete", "random"})

    def mixture(self, alpha: Alpha, space: Space, phase: Phase, state: State, generator: torch.Generator) -> Mixture:
        """Return a new point; in a validation one that draws nothing, nearest to alpha as it started."""
        if phase == "valid":
            return Mixture(active=space.constrain(on_host(masked(alpha, state))))
        return Mixture(active=space.random_point(generator))


@dataclass(frozen=True)
class Pooled(Uniform):
    """In the weight step the points that a gradient left (`GreedyFilter`), together; else a uniformly drawn one."""

    gives: ClassVar[frozenset[str]] = frozenset({"discrete", "random", "pooled"})

    def paths(
        self, alpha: Alpha, space: Space, phase: Phase, state: State, generator: torch.Generator
    ) -> tuple[Mixture, ...]:
        """Return the points to train."""
        left = state.get("paths", ())
        if phase != "weight" or not left:
            return (self.mixture(alpha, space, phase, state, generator),)
        return tuple(Mixture(active={name: tuple(picks) for name, picks in point.items()}) for point in left)


@dataclass(frozen=True)
class FairRounds(FairTurns):
    """A whole round of fair turns in each weight step: every candidate once, one update (Chu et al. 2021, algorithm 1).

    The gradients of as many single paths as a choice has candidates are averaged. Where groups differ in the number of
    candidates, the round is the largest group's, and smaller ones begin again.
    """

    def paths(
        self, alpha: Alpha, space: Space, phase: Phase, state: State, generator: torch.Generator
    ) -> tuple[Mixture, ...]:
        """Return the round, or the point of another phase."""
        audible = [sum(name not in space.silent for name in group.candidates) for group in space.groups]
        count = max(audible) if phase == "weight" else 1
        return tuple(self.mixture(alpha, space, phase, state, generator) for _ in range(count))

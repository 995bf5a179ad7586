"""NA-NAS: follow the mean loss of a neighbourhood.  Wang et al., BMVC 2021, arXiv:2105.06369."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from nasp_core.methods.darts import darts
from nasp_core.network import Space
from nasp_core.parts import Softmax
from nasp_core.parts.samples import displaced
from nasp_core.strategy import Paper, Strategy
from nasp_core.types import Alpha, Mixture, Phase, RelaxState, group_names

__all__ = ["PAPER", "Neighbourhood", "na_nas"]


@dataclass(frozen=True)
class Neighbourhood(Softmax):
    """An architecture step follows the mean loss of alpha and `samples` neighbours (Wang et al. 2021, section 3.2).

    Neighbours are alpha plus Gaussian noise of standard deviation `radius`: what does well only in one place, and not
    around it, is not followed (arXiv:2105.06369).
    """

    radius: float = 0.1
    samples: int = 2

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth", "convex", "temperature", "shares", "random"})

    def paths(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> tuple[Mixture, ...]:
        """Return the mixture, and in the architecture step its neighbours'."""
        own = self.mixture(alpha, space, phase, state, generator)
        if phase != "arch":
            return (own,)
        scale: dict[str, torch.Tensor | float] = dict.fromkeys(group_names(alpha), self.radius)
        around = (displaced(alpha, scale, generator) for _ in range(self.samples))
        return (own, *(self.mixture(other, space, phase, state, generator) for other in around))


PAPER = Paper(
    title="Neighborhood-Aware Neural Architecture Search",
    authors="Xiaofang Wang, Shengcao Cao, Mengtian Li, Kris M. Kitani",
    venue="British Machine Vision Conference",
    year=2021,
    arxiv="2105.06369",
)


def na_nas(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    radius: float = 0.1,
    samples: int = 2,
) -> Strategy:
    """Search as DARTS does, on the mean loss of alpha and `samples` neighbours at random: flat minima (section 3).

    Parts: domain=Logits, relax=Neighbourhood, gradient=FirstOrder, select=Argmax.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: neighbours are alpha plus Gaussian noise, not networks that differ in one operation.
    Fails when: as DARTS does; the mean is flatter, but of the same mixture.
    """
    base = darts(alpha_lr=alpha_lr, betas=betas, weight_decay=weight_decay)
    return replace(base, relax=Neighbourhood(radius=radius, samples=samples), name="na-nas", papers=(PAPER,))

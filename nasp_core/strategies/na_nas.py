"""NA-NAS: follow the mean loss of a neighbourhood.  Wang et al., BMVC 2021, arXiv:2105.06369."""

from dataclasses import replace

from nasp_core.relax import Neighbourhood
from nasp_core.strategies.darts import darts
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "na_nas"]

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

"""GAEA: multiplicative steps on the simplex.  Li et al., ICLR 2021, arXiv:2004.07802."""

from nasp_core.domain import Simplex
from nasp_core.gradient import Exponentiated
from nasp_core.relax import Weights
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "gaea"]

PAPER = Paper(
    title="Geometry-Aware Gradient Algorithms for Neural Architecture Search",
    authors="Liam Li, Mikhail Khodak, Maria-Florina Balcan, Ameet Talwalkar",
    venue="International Conference on Learning Representations",
    year=2021,
    arxiv="2004.07802",
)


def gaea(*, alpha_lr: float = 0.1, floor: float = 1e-5, noise: float = 1e-3) -> Strategy:
    """Search by exponentiated gradients: p <- p exp(-lr g) / sum (algorithm 1), the mixture weights being p itself.

    Parts: domain=Simplex(floor), relax=Weights, gradient=Exponentiated, select=Argmax.
    Shapes: alpha `[choices, candidates]` float32, rows on the simplex; loss scalar, mean per batch.
    Departs from the paper: bilevel on every space (there, single-level on NAS-Bench-201); the floor is a projection
    that keeps the sum, not a clamp.
    Fails when: as DARTS does; sparse steps settle the lottery sooner.
    """
    return Strategy(
        domain=Simplex(floor, noise),
        relax=Weights(),
        gradient=Exponentiated(lr=alpha_lr),
        select=Argmax(),
        name="gaea",
        papers=(PAPER,),
    )

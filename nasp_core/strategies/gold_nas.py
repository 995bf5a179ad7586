"""GOLD-NAS: gates that close one by one under a growing price.  Bi et al., 2020, arXiv:2007.03331."""

from nasp_core.domain import Gated
from nasp_core.gradient import SingleLevel
from nasp_core.relax import Gates
from nasp_core.schedule import GatePrice, Prune
from nasp_core.select import Argmax
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "gold_nas"]

PAPER = Paper(
    title="GOLD-NAS: Gradual, One-Level, Differentiable",
    authors="Kaifeng Bi, Lingxi Xie, Xin Chen, Longhui Wei, Qi Tian",
    venue="arXiv preprint",
    year=2020,
    arxiv="2007.03331",
)


def gold_nas(
    *,
    alpha_lr: float = 0.02,
    betas: tuple[float, float] = (0.5, 0.999),
    eta: float = 1.0,
    threshold: float = 0.05,
    noise: float = 1e-3,
) -> Strategy:
    """Search by one-level training of sigmoid gates under a price that grows; gates below `threshold` close for good.

    Parts: domain=Gated, relax=Gates, gradient=SingleLevel, select=Argmax; schedules GatePrice and Prune.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: one network is read at the end, one candidate a choice (there, several may stay, and a
    Pareto set is collected on the way); edges have no gate of their own; the price grows linearly.
    Fails when: the price is too low to close gates within the budget: the largest gate is then read off a mixture.
    """
    return Strategy(
        domain=Gated(noise),
        relax=Gates(),
        gradient=SingleLevel(lr=alpha_lr, betas=betas),
        select=Argmax(),
        schedules=(GatePrice(eta), Prune(threshold, threshold, absolute=True)),
        name="gold-nas",
        papers=(PAPER,),
    )

"""FairNAS: every candidate once in each step, then evolution.  Chu et al., ICCV 2021, arXiv:1907.01845."""

from nasp_core.domain import Logits
from nasp_core.gradient import NoGradient
from nasp_core.relax import FairRounds
from nasp_core.select.explore import evolve
from nasp_core.strategy import Paper, Strategy

__all__ = ["PAPER", "fairnas"]

PAPER = Paper(
    title="FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural Architecture Search",
    authors="Xiangxiang Chu, Bo Zhang, Ruijun Xu",
    venue="IEEE/CVF International Conference on Computer Vision",
    year=2021,
    arxiv="1907.01845",
)


def fairnas(*, looks: int = 200, population: int = 50, sample: int = 10) -> Strategy:
    """Train by strictly fair rounds of single paths, one update a round; evolve points on the supernet.

    Parts: domain=Logits (unused), relax=FairRounds, gradient=NoGradient, select=Explore(Evolution).
    Shapes: alpha `[choices, candidates]` float32, as it started; loss scalar, mean per batch and path.
    Departs from the paper: ageing evolution in place of a multi-objective one; gradients of a round are averaged.
    Fails when: as `spos`; and a step costs as many paths as a choice has candidates.
    """
    select = evolve(looks, population, sample)
    return Strategy(Logits(), FairRounds(), NoGradient(), select, name="fairnas", papers=(PAPER,))

"""FairNAS: every candidate once in each step, then evolution.  Chu et al., ICCV 2021, arXiv:1907.01845."""

from dataclasses import dataclass

import torch

from nasp_core.network import Space
from nasp_core.parts import FairTurns, Logits, NoGradient
from nasp_core.strategy import Paper, Strategy
from nasp_core.trials.on_supernet import evolve
from nasp_core.types import Alpha, Mixture, Phase, RelaxState

__all__ = ["PAPER", "FairRounds", "fairnas"]


@dataclass(frozen=True)
class FairRounds(FairTurns):
    """A whole round of fair turns in each weight step: every candidate once, one update (Chu et al. 2021, algorithm 1).

    The gradients of as many single paths as a choice has candidates are averaged. Where groups differ in the number of
    candidates, the round is the largest group's, and smaller ones begin again.
    """

    def paths(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> tuple[Mixture, ...]:
        """Return the round, or the point of another phase."""
        receiving = [sum(name not in space.zero_operations for name in group.candidates) for group in space.groups]
        count = max(receiving) if phase == "weight" else 1
        return tuple(self.mixture(alpha, space, phase, state, generator) for _ in range(count))


PAPER = Paper(
    title="FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural Architecture Search",
    authors="Xiangxiang Chu, Bo Zhang, Ruijun Xu",
    venue="IEEE/CVF International Conference on Computer Vision",
    year=2021,
    arxiv="1907.01845",
)


def fairnas(*, n_supernet_evals: int = 200, population: int = 50, sample: int = 10) -> Strategy:
    """Train by strictly fair rounds of single paths, one update a round; evolve points on the supernet.

    Parts: domain=Logits (unused), relax=FairRounds, gradient=NoGradient, select=Explore(Evolution).
    Shapes: alpha `[choices, candidates]` float32, as it started; loss scalar, mean per batch and path.
    Departs from the paper: ageing evolution in place of a multi-objective one; gradients of a round are averaged.
    Fails when: as `spos`; and a step costs as many paths as a choice has candidates.
    """
    select = evolve(n_supernet_evals, population, sample)
    return Strategy(Logits(), FairRounds(), NoGradient(), select, name="fairnas", papers=(PAPER,))

"""Regularised evolution: the oldest dies, however good.  Real et al., AAAI 2019, arXiv:1802.01548."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.strategy import Paper
from nasp_core.trials.budgeted import Budgeted, known_keys, points_tried
from nasp_core.trials.neighbours import mutated
from nasp_core.trials.points import fresh_point
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import Active, State

__all__ = ["Evolution", "alive"]

PAPER = Paper(
    title="Regularized Evolution for Image Classifier Architecture Search",
    authors="Esteban Real, Alok Aggarwal, Yanping Huang, Quoc V. Le",
    venue="AAAI Conference on Artificial Intelligence",
    year=2019,
    arxiv="1802.01548",
)


@dataclass(frozen=True, kw_only=True)
class Evolution(Budgeted):
    """Change one choice of the best of a random sample of the population; the child takes the place of the oldest.

    Parts: a population of `population` points, first drawn at random; a tournament of `sample` of them, drawn with
    replacement; a mutation of one choice; death by age, not by score.
    Shapes: none; a point is one index a choice.
    Departs from the paper: the population (100 there, sample 25) is fit for tens to hundreds of trainings, not tens of
    thousands; a child that was trained before is drawn again; a mutation draws among all candidates of a choice.
    Fails when: trials are fewer than the population, which makes it random search.
    """

    population: int = 20
    sample: int = 8
    name: str = "evolution"
    papers: tuple[Paper, ...] = (PAPER,)

    least: ClassVar[dict[str, float]] = {"trials": 1, "population": 1, "sample": 1}

    def propose(self, context: SearchContext, state: State) -> Proposal | None:
        """Return a child of the best of a sample; a random point while the population is not full."""
        space, generator, results = context.space, state["generator"], state["results"]
        living = alive(len(results), self.population)
        points = points_tried(state)

        def child() -> Active:
            drawn = torch.randint(len(living), (self.sample,), generator=generator).tolist()
            parent = max((living[place] for place in drawn), key=lambda number: results[number]["score"])
            return mutated(space, points[parent], generator)

        full = len(results) >= self.population
        active = fresh_point(space, known_keys(state), generator, child if full else None)
        return None if active is None else Proposal(active)


def alive(born: int, population: int) -> range:
    """Return the numbers of those that live when `born` were born: the youngest, whatever their scores."""
    return range(max(0, born - population), born)

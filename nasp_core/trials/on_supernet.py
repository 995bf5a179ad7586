"""The supernet asked by a trial strategy: SPOS' search by evolution."""

from __future__ import annotations

from dataclasses import dataclass

from nasp_core.errors import SearchError
from nasp_core.strategy import Select, SelectContext
from nasp_core.trials import Arena, Proposal, TrialStrategy, explore
from nasp_core.trials.evolution import Evolution
from nasp_core.types import Active

__all__ = ["Explore", "evolve"]


@dataclass(frozen=True)
class Explore(Select):
    """Let a trial strategy ask the supernet, restricted to each point, in place of a training (Guo et al. 2020, 3.4).

    The point of the best validation metric wins. `looks` bounds the questions.
    """

    trial: TrialStrategy
    looks: int = 200

    def __post_init__(self) -> None:
        """Refuse to ask nothing."""
        if self.looks < 1:
            raise SearchError(f"{self.describe()}: looks must be 1 or more")

    def select(self, context: SelectContext) -> Active:
        """Return the best point that was asked about."""
        sign = 1.0 if context.task.maximise else -1.0

        def judge(proposal: Proposal) -> float:
            return sign * context.supernet_metric(proposal.active)

        arena = Arena(context.space, context.task)
        told = explore(arena, self.trial, judge, seed=context.seed, evaluations=self.looks)
        if not told:
            raise SearchError(f"{self.trial.name} asked the supernet nothing; give it one trial or more")
        return max(told, key=lambda each: each.score).proposal.active


def evolve(looks: int, population: int, sample: int) -> Explore:
    """Return ageing evolution on the supernet: `looks` points, a `population`, tournaments of `sample`."""
    return Explore(Evolution(trials=looks, population=population, sample=sample), looks)

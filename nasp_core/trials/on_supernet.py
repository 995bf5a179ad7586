"""The supernet asked by a multi-trial strategy: SPOS' search by evolution."""

from dataclasses import dataclass
from typing import ClassVar

from nasp_core.errors import SearchError
from nasp_core.strategy import Select, SelectContext
from nasp_core.trials import Proposal, SearchContext, TrialStrategy, explore
from nasp_core.trials.evolution import Evolution
from nasp_core.types import Active

__all__ = ["Explore", "evolve"]


@dataclass(frozen=True)
class Explore(Select):
    """Ask the supernet, restricted to each point, in place of a training, as a multi-trial strategy says.

    Guo et al. 2020, section 3.4.

    The point of the best validation metric wins. `n_supernet_evals` bounds the questions.
    """

    trial: TrialStrategy
    n_supernet_evals: int = 200

    least: ClassVar[dict[str, float]] = {"n_supernet_evals": 1}

    def select(self, context: SelectContext) -> Active:
        """Return the best point that was asked about."""
        sign = 1.0 if context.task.maximise else -1.0

        def judge(proposal: Proposal) -> float:
            return sign * context.supernet_metric(proposal.active)

        whole = SearchContext(context.space, context.task)
        results = explore(whole, self.trial, judge, seed=context.seed, evaluations=self.n_supernet_evals)
        if not results:
            raise SearchError(f"{self.trial.name} asked the supernet nothing; give it one trial or more")
        return max(results, key=lambda each: each.score).proposal.active


def evolve(n_supernet_evals: int, population: int, sample: int) -> Explore:
    """Return ageing evolution on the supernet: `n_supernet_evals` points, a `population`, tournaments of `sample`."""
    return Explore(Evolution(trials=n_supernet_evals, population=population, sample=sample), n_supernet_evals)

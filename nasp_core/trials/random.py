"""Random search: the baseline that every strategy has to beat under the same budget."""

from dataclasses import dataclass

import torch

from nasp_core.errors import SearchError
from nasp_core.parts import FirstOrder
from nasp_core.strategy import Gradient, Paper
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import State

__all__ = ["Random"]

PAPER = Paper(
    title="Random Search and Reproducibility for Neural Architecture Search",
    authors="Liam Li, Ameet Talwalkar",
    venue="Conference on Uncertainty in Artificial Intelligence",
    year=2019,
    arxiv="1902.07638",
)


@dataclass(frozen=True)
class Random:
    """Train `trials` uniformly drawn points alone, no point twice while new ones are left."""

    trials: int = 2
    gradient: Gradient = FirstOrder()
    name: str = "random"
    papers: tuple[Paper, ...] = (PAPER,)

    def __post_init__(self) -> None:
        """Check the settings; raises `SearchError` for an empty budget."""
        if self.trials < 1:
            raise SearchError(f"Random(trials={self.trials}): it must be 1 or more")

    def init(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return the state: the generator and the points drawn so far."""
        return {"generator": generator, "asked": []}

    def ask(self, context: SearchContext, state: State) -> Proposal | None:
        """Return a new point, None when `trials` were asked or a hundred draws brought nothing new."""
        if len(state["asked"]) >= self.trials:
            return None
        for _ in range(100):
            active = context.space.random_point(state["generator"])
            if context.space.genotype(active).key() not in state["asked"]:
                state["asked"].append(context.space.genotype(active).key())
                return Proposal(active)
        return None

    def tell(self, context: SearchContext, state: State, proposal: Proposal, score: float) -> None:
        """Learn nothing: random search does not."""

    def describe(self) -> dict[str, str]:
        """Return the settings as text."""
        return {"trials": f"Random(trials={self.trials})", "gradient": self.gradient.identify()}

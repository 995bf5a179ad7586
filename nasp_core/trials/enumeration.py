"""Train every point of a space: the truth that a search on a small space is measured against."""

import itertools
from dataclasses import dataclass

import torch

from nasp_core.errors import SearchError
from nasp_core.parts import FirstOrder
from nasp_core.strategy import Gradient, Paper
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import State

__all__ = ["Enumerate"]


@dataclass(frozen=True)
class Enumerate:
    """Train all points alone, in a fixed order; refuses a space of more than `limit` points."""

    gradient: Gradient = FirstOrder()
    limit: int = 500
    name: str = "enumerate"
    papers: tuple[Paper, ...] = ()

    def init(self, context: SearchContext, generator: torch.Generator) -> State:
        """Count the points and return the state; raises `SearchError` when there are too many."""
        size = sum(1 for _ in itertools.islice(context.space.points(), self.limit + 1))
        if size > self.limit:
            raise SearchError(
                f"space {context.space.name!r} has more than {self.limit} points; use random, or a one-shot strategy"
            )
        return {"next": 0}

    def ask(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the next point in order, None after the last."""
        active = next(itertools.islice(context.space.points(), state["next"], None), None)
        return None if active is None else Proposal(active)

    def tell(self, context: SearchContext, state: State, proposal: Proposal, score: float) -> None:
        """Go on to the next point."""
        state["next"] += 1

    def describe(self) -> dict[str, str]:
        """Return the settings as text."""
        return {"trials": f"Enumerate(limit={self.limit})", "gradient": self.gradient.identify()}

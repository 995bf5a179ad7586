"""Strategies that do not relax: they propose points, and learn from scores."""

from typing import NamedTuple, Protocol, runtime_checkable

import torch

from nasp_core.network import Space
from nasp_core.strategy import Gradient, Paper
from nasp_core.types import Active, State, Task

__all__ = ["Proposal", "SearchContext", "TrialStrategy"]


class Proposal(NamedTuple):
    """An architecture to be tried, with its fidelity: the share of the final schedule, in (0, 1]; 1 is all of it."""

    active: Active
    fidelity: float = 1.0


class SearchContext(NamedTuple):
    """What a multi-trial strategy sees: the space, and the task where there is one (a table of results has none)."""

    space: Space
    task: Task | None = None


@runtime_checkable
class TrialStrategy(Protocol):
    """Ask for the next point, tell its score; the state is plain (see `nasp_core.state`), so it can be saved.

    A score is oriented: larger is always better, and -inf is a training that failed. Who asks tells, one point at a
    time. A strategy that may spend a budget has it as its setting `trials`: whole trainings, shares summed up.
    """

    @property
    def name(self) -> str:
        """Name in the table of strategies."""
        ...

    @property
    def papers(self) -> tuple[Paper, ...]:
        """Where the method comes from."""
        ...

    @property
    def gradient(self) -> Gradient:
        """How a point's continuous architecture parameters learn while the point is trained."""
        ...

    def init(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return the first state.

        Args:
            context: The space, and the task where there is one.
            generator: The strategy's source of random numbers, to be kept in the state.

        Raises:
            SearchError: The method has no meaning there.
        """
        ...

    def ask(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the next point to try, or None when the search is over.

        Args:
            context: The space, and the task where there is one.
            state: What `init` returned; it may change.
        """
        ...

    def tell(self, context: SearchContext, state: State, proposal: Proposal, score: float) -> None:
        """Learn the score of a proposal.

        Args:
            context: The space, and the task where there is one.
            state: What `init` returned; it changes.
            proposal: What `ask` returned.
            score: Larger is better; -inf where the training failed.
        """
        ...

    def describe(self) -> dict[str, str]:
        """Return role -> part as text."""
        ...

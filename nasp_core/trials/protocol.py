"""Strategies that do not relax: they propose points, and learn from scores."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import torch

from nasp_core.network import Space
from nasp_core.strategy import Gradient, Paper
from nasp_core.types import Active, State, Task

__all__ = ["Arena", "Proposal", "TrialStrategy"]


class Proposal(NamedTuple):
    """A point to be tried, with the share of the final schedule it is worth: in (0, 1], 1 is a whole training."""

    active: Active
    share: float = 1.0


class Arena(NamedTuple):
    """What a trial strategy sees: the space, and the task where there is one (a table of results has none)."""

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

    def init(self, arena: Arena, generator: torch.Generator) -> State:
        """Return the first state; raises `SearchError` where the method has no meaning in the arena."""
        ...

    def ask(self, arena: Arena, state: State) -> Proposal | None:
        """Return the next point to try, or None when the search is over."""
        ...

    def tell(self, arena: Arena, state: State, proposal: Proposal, score: float) -> None:
        """Learn the score of a point; larger is better."""
        ...

    def describe(self) -> dict[str, str]:
        """Return role -> part as text."""
        ...

"""Strategies that do not relax: they propose points, and learn from scores."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

from nasp_core.network import Space
from nasp_core.strategy import Gradient, Paper
from nasp_core.types import Active, State

__all__ = ["TrialStrategy"]


@runtime_checkable
class TrialStrategy(Protocol):
    """Ask for the next point, tell its validation metric; the state is plain numbers, so it can be saved."""

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

    def init(self, space: Space, generator: torch.Generator) -> State:
        """Return the first state."""
        ...

    def ask(self, space: Space, state: State) -> Active | None:
        """Return the next point to train, or None when the search is over."""
        ...

    def tell(self, state: State, active: Active, metric: float) -> None:
        """Learn the validation metric of a point."""
        ...

    def describe(self) -> dict[str, str]:
        """Return role -> part as text."""
        ...

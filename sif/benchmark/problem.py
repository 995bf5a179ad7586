"""Where a race is run: what a problem must offer."""

from typing import Any, Protocol

from sif.benchmark.entrants import Entrant
from sif.benchmark.results import Column, RaceRun

__all__ = ["BenchmarkProblem", "RacePlan"]

RacePlan = dict[str, float]
"""Figures by name, such as `epochs` and `least`."""


class BenchmarkProblem(Protocol):
    """Data or a table on which strategies search, under one budget for all."""

    @property
    def columns(self) -> list[Column]:
        """The figures of every run; the first decides the order of the table."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return as plain data all that a run's outcome depends on, but the strategy and its seed."""
        ...

    def unsupported_reason(self, entrant: Entrant) -> str | None:
        """Return why an entrant cannot run here, None where it can."""
        ...

    def plan(self, entrant: Entrant) -> RacePlan:
        """Return how an entrant's searches are brought to the size of the budget: once, for all seeds."""
        ...

    def note(self, plan: RacePlan) -> str | None:
        """Return what a reader must know of an entrant's runs, such as that its least search exceeds the budget."""
        ...

    def run(self, entrant: Entrant, seed: int, plan: RacePlan) -> RaceRun:
        """Search once.

        Args:
            entrant: The strategy.
            seed: Of the search.
            plan: What `plan` returned for the entrant.

        Raises:
            NaspError: The search fails.
        """
        ...

    def finish(self, runs: list[RaceRun]) -> None:
        """Add to the runs the figures that need all of them, such as the regret against the best."""
        ...

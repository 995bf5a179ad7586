"""Climb: train a random architecture, then whatever one change of the best so far leads to."""

from dataclasses import dataclass

from nasp_core.trials import Proposal, SearchContext
from nasp_core.trials.budgeted import Budgeted, best_first, known_keys, points_tried
from nasp_core.trials.neighbours import mutated
from nasp_core.trials.points import key_of
from nasp_core.types import State


@dataclass(frozen=True, kw_only=True)
class Climb(Budgeted):
    """Change one choice of the best architecture so far, and train what comes of it; the first is drawn."""

    trials: int = 4
    draws: int = 100
    name: str = "climb"

    def propose(self, context: SearchContext, state: State) -> Proposal | None:
        """Return an architecture that was not tried yet; None where no draw brings one."""
        tried, generator = points_tried(state), state["generator"]
        for _ in range(self.draws):
            if tried:
                point = mutated(context.space, tried[best_first(state)[0]], generator)
            else:
                point = context.space.random_point(generator)
            if key_of(point) not in known_keys(state):
                return Proposal(point)
        return None

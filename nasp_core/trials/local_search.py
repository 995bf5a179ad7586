"""Climb by single changes, and start anew at every top.  White et al., UAI 2021, arXiv:2005.02960."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.strategy import Paper
from nasp_core.trials.budgeted import Budgeted, Memo, best_first, known_keys
from nasp_core.trials.neighbours import neighbours
from nasp_core.trials.points import active_of, fresh_point, key_of, saved_point
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import Active, State

__all__ = ["LocalSearch"]

PAPER = Paper(
    title="Exploring the Loss Landscape in Neural Architecture Search",
    authors="Colin White, Sam Nolen, Yash Savani",
    venue="Conference on Uncertainty in Artificial Intelligence",
    year=2021,
    arxiv="2005.02960",
)


@dataclass(frozen=True, kw_only=True)
class LocalSearch(Budgeted):
    """Try the neighbours of a point, one change of one choice each, and go on from a better one; restart at a top.

    Parts: random starting points; the neighbours in random order (`nasp_core.trials.neighbours`); with `whole` all of
    them are tried before the best is taken, without it the first that is better.
    Shapes: none; a point is one index a choice.
    Departs from the paper: the first better neighbour is taken by default (the paper's main form tries them all); a
    neighbour that was tried before is not tried again, its score is known; several random points start (`starts`), the
    best of them is climbed from.
    Fails when: a neighbourhood is as large as the budget, or tops are many.
    """

    whole: bool = False
    starts: int = 10
    name: str = "local-search"
    papers: tuple[Paper, ...] = (PAPER,)

    least: ClassVar[dict[str, float]] = {"trials": 1, "starts": 1}

    def begin(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return where the climb stands (None: nowhere yet), and the seed of the order of its neighbours."""
        return {"here": None, "order": 0, "around": Memo()}

    def propose(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the next neighbour that was not tried, a random point where a climb begins."""
        scores = {each["key"]: each["score"] for each in state["results"]}
        while state["here"] is not None:
            here, around = active_of(state["here"]), self._around(context, state)
            new = [point for point in around if key_of(point) not in scores]
            known = [point for point in around if key_of(point) in scores]
            best = max(known, key=lambda point: scores[key_of(point)], default=here)
            if scores[key_of(best)] > scores[key_of(here)] and not (self.whole and new):
                self._stand(state, saved_point(best))
            elif new:
                return Proposal(new[0])
            else:
                state["here"] = None  # a top
        fresh = fresh_point(context.space, known_keys(state), state["generator"])
        return None if fresh is None else Proposal(fresh)

    def tell(self, context: SearchContext, state: State, proposal: Proposal, score: float) -> None:
        """Put a score on record; a random point is where a climb begins, the best of the first ones the first."""
        super().tell(context, state, proposal, score)
        results = state["results"]
        if state["here"] is None and len(results) >= self.starts:
            self._stand(state, results[best_first(state)[0] if len(results) == self.starts else -1]["point"])

    def _stand(self, state: State, point: State) -> None:
        state["here"], state["order"] = point, int(torch.randint(2**31, (), generator=state["generator"]))

    def _around(self, context: SearchContext, state: State) -> list[Active]:
        """Return the neighbours in their random order, worked out once a point."""
        if state["around"].value is None or state["around"].value[0] != state["order"]:
            points = neighbours(context.space, active_of(state["here"]))
            order = torch.randperm(len(points), generator=torch.Generator().manual_seed(state["order"])).tolist()
            state["around"].value = state["order"], [points[place] for place in order]
        found: list[Active] = state["around"].value[1]
        return found

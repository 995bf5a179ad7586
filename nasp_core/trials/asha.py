"""Asynchronous successive halving, through Optuna.  Li et al., MLSys 2020, arXiv:1810.05934."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from nasp_core.strategy import Paper
from nasp_core.trials.budgeted import Budgeted, Memo, known_keys
from nasp_core.trials.from_optuna import new_study, optuna, quiet
from nasp_core.trials.points import active_of, fresh_point
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import State

__all__ = ["Asha"]

PAPER = Paper(
    title="A System for Massively Parallel Hyperparameter Tuning",
    authors=(
        "Liam Li, Kevin Jamieson, Afshin Rostamizadeh, Ekaterina Gonina, Jonathan Ben-Tzur, Moritz Hardt, "
        "Benjamin Recht, Ameet Talwalkar"
    ),
    venue="Conference on Machine Learning and Systems",
    year=2020,
    arxiv="1810.05934",
)


@dataclass(frozen=True, kw_only=True)
class Asha(Budgeted):
    """Train many random points for a short while, and only the best of them longer, rung by rung.

    Parts: random points; `rungs` shares of the final schedule, each `reduction` times the one before, the last one
    whole (1/9, 1/3, 1); Optuna's `SuccessiveHalvingPruner` says after each rung who goes on: the best 1/`reduction` of
    those that came so far (Li et al. 2020, algorithm 2). A training counts as its share of a trial.
    Shapes: none; a point is one index a choice.
    Departs from the paper: as in Optuna, who does not go on at once is out for good (the paper promotes later, when
    more have come), and the first of a rung goes on if it is the best of it; one worker; a longer training begins from
    fresh weights, so a whole point costs 1 + 1/3 + 1/9 trials.
    Fails when: short trainings rank points unlike whole ones. Needs Optuna (extra `optuna`): without it `init` raises
    `SearchError`.
    """

    rungs: int = 3
    reduction: int = 3
    name: str = "asha"
    papers: tuple[Paper, ...] = (PAPER,)

    least: ClassVar[dict[str, float]] = {"trials": 1, "rungs": 1, "reduction": 2}

    def begin(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return what Optuna remembers: it is made again from the history."""
        optuna(self.name)
        return {"study": Memo()}

    def propose(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the last point on the next rung if it goes on, else a new random point on the first."""
        rung = self._next_rung(state)
        if rung > 0:
            return Proposal(active_of(state["results"][-1]["point"]), self._share(rung))
        fresh = fresh_point(context.space, known_keys(state), state["generator"])
        return None if fresh is None else Proposal(fresh, self._share(0))

    def _share(self, rung: int) -> float:
        return float(self.reduction) ** (rung + 1 - self.rungs)

    def _next_rung(self, state: State) -> int:
        """Tell Optuna what is new in the history; return the rung that the last point goes on to, 0 if it is out."""
        library, memo = optuna(self.name), state["study"]
        if memo.value is None:
            pruner = library.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=self.reduction)
            memo.value = {"study": new_study(library, pruner=pruner), "done": 0, "rung": 0, "trial": None}
        kept = memo.value
        with quiet(library):
            for each in state["results"][kept["done"] :]:
                kept["rung"] = self._report(kept, library, float(each["score"]))
        kept["done"] = len(state["results"])
        return int(kept["rung"])

    def _report(self, kept: dict[str, Any], library: Any, score: float) -> int:
        study, rung = kept["study"], kept["rung"]
        if rung == 0:
            kept["trial"] = study.ask()
        trial = kept["trial"]
        trial.report(score, self.reduction**rung)
        if score == -math.inf or trial.should_prune():
            study.tell(trial, state=library.trial.TrialState.PRUNED)
            return 0
        if rung + 1 == self.rungs:
            study.tell(trial, score)
            return 0
        return int(rung) + 1

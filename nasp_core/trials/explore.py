"""The ask/tell loop without training: for tables of results, and for whoever can judge a point at once."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from nasp_core.errors import SearchError
from nasp_core.trials.protocol import Proposal, SearchContext, TrialStrategy
from nasp_core.types import derive_seed

__all__ = ["TrialResult", "explore"]


class TrialResult(NamedTuple):
    """A proposal and its score; larger is better, -inf is a failure."""

    proposal: Proposal
    score: float


def explore(
    context: SearchContext,
    strategy: TrialStrategy,
    judge: Callable[[Proposal], float],
    *,
    seed: int,
    evaluations: float | None = None,
    seconds: float | None = None,
) -> list[TrialResult]:
    """Ask `strategy` for points and tell it what `judge` says of each, until it ends or the budget is spent.

    Args:
        context: The space, and the task where there is one.
        strategy: What proposes; its own `trials` is a budget too.
        judge: Returns a score, larger is better; NaN, or a `SearchError`, counts as -inf.
        seed: Of the strategy's draws: the same seed gives the same proposals.
        evaluations: The most that the proposals' fidelities may sum up to; None: no bound.
        seconds: The wall-clock time after which nothing is asked any more; None: no bound.

    Returns:
        The results, in the order of their proposals.
    """
    began = time.perf_counter()
    state = strategy.init(context, torch.Generator().manual_seed(derive_seed(seed, "trials")))
    results: list[TrialResult] = []
    spent = 0.0
    while seconds is None or time.perf_counter() - began < seconds:
        proposal = strategy.ask(context, state)
        if proposal is None or (evaluations is not None and spent + proposal.fidelity > evaluations + 1e-9):
            break
        try:
            score = float(judge(proposal))
        except SearchError:
            score = -math.inf
        results.append(TrialResult(proposal, -math.inf if math.isnan(score) else score))
        strategy.tell(context, state, *results[-1])
        spent += proposal.fidelity
    return results

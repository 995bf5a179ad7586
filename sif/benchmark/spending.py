"""A multi-trial strategy that stops asking when its budget is spent."""

from collections.abc import Callable
from typing import Protocol

import torch

from nasp_core.strategy import Gradient, Paper
from nasp_core.trials import Proposal, SearchContext, TrialStrategy
from nasp_core.types import State
from sif.benchmark.budget import Clock

__all__ = ["BudgetTracker", "BudgetedStrategy", "EvaluationBudget", "TimeBudget"]


class BudgetTracker(Protocol):
    """What is left of a budget."""

    def affords(self, proposal: Proposal) -> bool:
        """Return whether a proposal may be tried."""
        ...

    def pay(self, proposal: Proposal) -> None:
        """Hear that a proposal was tried."""
        ...


class EvaluationBudget:
    """A budget_left of a known price for each proposal; the first is tried whatever it costs."""

    def __init__(self, amount: float, price: Callable[[Proposal], float] = lambda proposal: proposal.fidelity) -> None:
        self.amount, self.price = amount, price
        self.spent = 0.0

    def affords(self, proposal: Proposal) -> bool:
        """Return whether the price is left."""
        return self.spent == 0.0 or self.spent + self.price(proposal) <= self.amount * (1 + 1e-9)

    def pay(self, proposal: Proposal) -> None:
        """Take the price away."""
        self.spent += self.price(proposal)


class TimeBudget:
    """A budget_left of seconds: a proposal is tried when a training at the mean rate so far would end in time."""

    def __init__(self, amount: float, clock: Clock) -> None:
        self.amount, self.clock = amount, clock
        self.began, self.shares = clock(), 0.0

    def affords(self, proposal: Proposal) -> bool:
        """Return whether the proposal's share is likely to end in time; the first is tried in any case."""
        elapsed = self.clock() - self.began
        return self.shares == 0.0 or elapsed * (1 + proposal.fidelity / self.shares) <= self.amount * (1 + 1e-9)

    def pay(self, proposal: Proposal) -> None:
        """Count the share."""
        self.shares += proposal.fidelity


class BudgetedStrategy:
    """A multi-trial strategy under a budget_left: it ends with the first proposal that it cannot afford."""

    def __init__(self, strategy: TrialStrategy, budget_left: BudgetTracker) -> None:
        self.strategy, self.budget_left = strategy, budget_left
        self.asked = 0

    @property
    def name(self) -> str:
        """The name of the strategy within."""
        return self.strategy.name

    @property
    def papers(self) -> tuple[Paper, ...]:
        """The papers of the strategy within."""
        return self.strategy.papers

    @property
    def gradient(self) -> Gradient:
        """The gradient of the strategy within."""
        return self.strategy.gradient

    def init(self, arena: SearchContext, generator: torch.Generator) -> State:
        """Return the first state of the strategy within."""
        return self.strategy.init(arena, generator)

    def ask(self, arena: SearchContext, state: State) -> Proposal | None:
        """Return the next point, None at the end of the strategy or of the budget_left."""
        proposal = self.strategy.ask(arena, state)
        if proposal is None or not self.budget_left.affords(proposal):
            return None
        self.asked += 1
        return proposal

    def tell(self, arena: SearchContext, state: State, proposal: Proposal, score: float) -> None:
        """Pay for the point, and pass its score on."""
        self.budget_left.pay(proposal)
        self.strategy.tell(arena, state, proposal, score)

    def describe(self) -> dict[str, str]:
        """Return the settings of the strategy within."""
        return self.strategy.describe()

"""A multi-trial strategy that ends when its budget is spent."""

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
        """Record that a proposal was tried."""
        ...


class EvaluationBudget:
    """A budget of a known price for each proposal; the first is tried whatever it costs."""

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
    """A budget of seconds: a proposal is tried when a training at the mean rate so far would end in time."""

    def __init__(self, amount: float, clock: Clock) -> None:
        self.amount, self.clock = amount, clock
        self.began, self.fidelities = clock(), 0.0

    def affords(self, proposal: Proposal) -> bool:
        """Return whether the proposal's fidelity is likely to end in time; the first is tried in any case."""
        elapsed = self.clock() - self.began
        return self.fidelities == 0.0 or elapsed * (1 + proposal.fidelity / self.fidelities) <= self.amount * (1 + 1e-9)

    def pay(self, proposal: Proposal) -> None:
        """Count the fidelity."""
        self.fidelities += proposal.fidelity


class BudgetedStrategy:
    """A multi-trial strategy under a budget: it ends with the first proposal that it cannot afford."""

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

    def init(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return the first state of the strategy within."""
        return self.strategy.init(context, generator)

    def ask(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the next proposal, None at the end of the strategy or of the budget."""
        proposal = self.strategy.ask(context, state)
        if proposal is None or not self.budget_left.affords(proposal):
            return None
        self.asked += 1
        return proposal

    def tell(self, context: SearchContext, state: State, proposal: Proposal, score: float) -> None:
        """Pay for the proposal, and pass its score on."""
        self.budget_left.pay(proposal)
        self.strategy.tell(context, state, proposal, score)

    def describe(self) -> dict[str, str]:
        """Return the settings of the strategy within."""
        return self.strategy.describe()

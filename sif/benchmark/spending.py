"""A trial strategy that stops asking when its budget is spent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from nasp_core.strategy import Gradient, Paper
from nasp_core.trials import Arena, Proposal, TrialStrategy
from nasp_core.types import State
from sif.benchmark.budget import Clock

__all__ = ["Bounded", "Priced", "Purse", "Timed"]


class Purse(Protocol):
    """What is left of a budget."""

    def affords(self, proposal: Proposal) -> bool:
        """Return whether a proposal may be tried."""
        ...

    def pay(self, proposal: Proposal) -> None:
        """Hear that a proposal was tried."""
        ...


class Priced:
    """A purse of a known price for each proposal; the first is tried whatever it costs."""

    def __init__(self, amount: float, price: Callable[[Proposal], float] = lambda proposal: proposal.share) -> None:
        self.amount, self.price = amount, price
        self.spent = 0.0

    def affords(self, proposal: Proposal) -> bool:
        """Return whether the price is left."""
        return self.spent == 0.0 or self.spent + self.price(proposal) <= self.amount * (1 + 1e-9)

    def pay(self, proposal: Proposal) -> None:
        """Take the price away."""
        self.spent += self.price(proposal)


class Timed:
    """A purse of seconds: a proposal is tried when a training at the mean rate so far would end in time."""

    def __init__(self, amount: float, clock: Clock) -> None:
        self.amount, self.clock = amount, clock
        self.began, self.shares = clock(), 0.0

    def affords(self, proposal: Proposal) -> bool:
        """Return whether the proposal's share is likely to end in time; the first is tried in any case."""
        elapsed = self.clock() - self.began
        return self.shares == 0.0 or elapsed * (1 + proposal.share / self.shares) <= self.amount * (1 + 1e-9)

    def pay(self, proposal: Proposal) -> None:
        """Count the share."""
        self.shares += proposal.share


class Bounded:
    """A trial strategy under a purse: it ends with the first proposal that it cannot afford."""

    def __init__(self, strategy: TrialStrategy, purse: Purse) -> None:
        self.strategy, self.purse = strategy, purse
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

    def init(self, arena: Arena, generator: torch.Generator) -> State:
        """Return the first state of the strategy within."""
        return self.strategy.init(arena, generator)

    def ask(self, arena: Arena, state: State) -> Proposal | None:
        """Return the next point, None at the end of the strategy or of the purse."""
        proposal = self.strategy.ask(arena, state)
        if proposal is None or not self.purse.affords(proposal):
            return None
        self.asked += 1
        return proposal

    def tell(self, arena: Arena, state: State, proposal: Proposal, score: float) -> None:
        """Pay for the point, and pass its score on."""
        self.purse.pay(proposal)
        self.strategy.tell(arena, state, proposal, score)

    def describe(self) -> dict[str, str]:
        """Return the settings of the strategy within."""
        return self.strategy.describe()

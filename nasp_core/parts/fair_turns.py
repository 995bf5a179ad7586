"""One live candidate per choice, and in the weight step every candidate in its turn."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts.alive import masked
from nasp_core.parts.one_hot import on_host, projected
from nasp_core.strategy import Relax
from nasp_core.types import Alpha, Mixture, Phase, RelaxState

__all__ = ["FairState", "FairTurns"]


@dataclass
class FairState(RelaxState):
    """The present round of each group: whose turn it is, and the order of the candidates, int64 `[choices, turns]`."""

    turns: dict[str, int] = field(default_factory=dict)
    orders: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class FairTurns(Relax):
    """NASP's point in the architecture step; strictly fair single paths in the weight step.

    In each round of as many weight steps as a choice has candidates, every candidate has its turn once, in random
    order (Chu et al. 2021, FairNAS, definition 2); zero operations have nothing to train and get none. So alpha
    compares trained candidates with trained candidates, at the price of one candidate a step, as in NASP. Where a
    constraint keeps some choices and drops others, it is applied to a random ranking of them, and a dropped choice's
    turn is lost.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "discrete", "convex"})

    def init(self) -> FairState:
        """Return the state before the first round."""
        return FairState()

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return the projected point, or in the weight step the next point of the round."""
        if phase != "weight":
            return projected(on_host(masked(alpha, state.alive)), alpha, space, phase)
        assert isinstance(state, FairState)
        scores = {}
        for group in space.groups:
            receiving = torch.tensor(
                [i for i, name in enumerate(group.candidates) if name not in space.zero_operations]
            )
            turn = state.turns.get(group.name)
            if turn is None or turn == len(receiving):
                drawn = torch.rand(group.choices, len(receiving), generator=generator)
                turn, state.orders[group.name] = 0, receiving[torch.argsort(drawn, dim=-1)]
            live = state.orders[group.name][:, turn]
            state.turns[group.name] = turn + 1
            score = torch.rand(group.choices, 1, generator=generator).expand(group.shape).clone()
            scores[group.name] = score.scatter_add_(1, live.unsqueeze(1), torch.ones(group.choices, 1))
        return Mixture(active=space.constrain(scores))

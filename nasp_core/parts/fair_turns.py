"""One live candidate per choice, and in the weight step every candidate in its turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.network import Space
from nasp_core.parts.one_hot import OneHot
from nasp_core.strategy import Relax
from nasp_core.types import Alpha, Mixture, Phase, State

__all__ = ["FairTurns"]


@dataclass(frozen=True)
class FairTurns(Relax):
    """NASP's point in the architecture step; strictly fair single paths in the weight step.

    In each round of as many weight steps as a choice has candidates, every candidate has its turn once, in random
    order (Chu et al. 2021, FairNAS, definition 2); silent ones have nothing to train and get none. So alpha compares
    trained candidates with trained candidates, at the price of one candidate a step, as in NASP. Where a constraint
    keeps some choices and drops others, it is applied to a random ranking of them, and a dropped choice's turn is lost.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"slope", "discrete", "convex"})

    def init(self) -> State:
        """Return an empty round."""
        return {"rounds": {}}

    def mixture(self, alpha: Alpha, space: Space, phase: Phase, state: State, generator: torch.Generator) -> Mixture:
        """Return the projected point, or in the weight step the next point of the round."""
        if phase != "weight":
            return OneHot().mixture(alpha, space, phase, state, generator)
        scores = {}
        for group in space.groups:
            round_ = state["rounds"].get(group.name)
            heard = torch.tensor([i for i, name in enumerate(group.candidates) if name not in space.silent])
            if round_ is None or round_["turn"] == len(heard):
                drawn = torch.rand(group.choices, len(heard), generator=generator)
                order = heard[torch.argsort(drawn, dim=-1)]
                round_ = state["rounds"][group.name] = {"turn": 0, "order": order}
            live = round_["order"][:, round_["turn"]]
            round_["turn"] += 1
            score = torch.rand(group.choices, 1, generator=generator).expand(group.shape).clone()
            scores[group.name] = score.scatter_add_(1, live.unsqueeze(1), torch.ones(group.choices, 1))
        return Mixture(active=space.constrain(scores))

"""Points drawn from alpha's distribution, with their probability: for gradients that need no path to alpha."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts.alive import masked
from nasp_core.parts.noise import gumbel_like
from nasp_core.parts.one_hot import on_host
from nasp_core.strategy import Relax
from nasp_core.types import Alpha, Mixture, Phase, RelaxState

__all__ = ["Categorical"]


@dataclass(frozen=True)
class Categorical(Relax):
    """One live candidate per choice, drawn with probability softmax(alpha).

    Drawn by Gumbel noise on normalised logits. Where edges compete for a node, those with the largest noise stay: their
    size is independent of alpha and of what was drawn, so that which edges stay is drawn evenly, and the
    log-probability of the live candidates is all that depends on alpha. A validation sees the most probable point.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"discrete", "log_prob", "random", "shares"})
    needs: ClassVar[dict[str, str]] = {
        "logits": "points are drawn with probability softmax(alpha); use domain = Logits, or relax = CategoricalShares"
    }

    def logits(self, alpha: Alpha, state: RelaxState) -> dict[str, Tensor]:
        """Return unnormalised log-probabilities `[choices, candidates]`; -inf for what was pruned.

        Args:
            alpha: Per group `[choices, candidates]`.
            state: The relaxation's state.
        """
        return masked(alpha, state.alive)

    def logs(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return log-probabilities `[choices, candidates]`, with alpha's graph; -inf for what cannot be drawn.

        Args:
            alpha: Per group `[choices, candidates]`.
            space: The space.
            state: The relaxation's state.
        """
        logits = self.logits(alpha, state)
        if space.may_drop:  # where edges are dropped, nothing that adds nothing is kept
            for group in space.groups:
                zero = torch.tensor([name in space.zero_operations for name in group.candidates])
                logits[group.name] = logits[group.name].masked_fill(zero.to(logits[group.name].device), -torch.inf)
        return {name: torch.log_softmax(t, -1) for name, t in logits.items()}

    def shares(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return the probabilities."""
        return {name: log.exp() for name, log in self.logs(alpha, space, state).items()}

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return a drawn point; in the architecture step with its log-probability."""
        logs = self.logs(alpha, space, state)
        if phase == "valid":
            return Mixture(active=space.constrain(on_host(logs)))
        with torch.no_grad():
            active = space.constrain(on_host({name: t + gumbel_like(t, generator) for name, t in logs.items()}))
        if phase == "weight":
            return Mixture(active=active)
        live = [logs[name][row, pick] for name, picks in active.items() for row, pick in enumerate(picks) if pick >= 0]
        return Mixture(active=active, log_prob=torch.stack(live).sum())

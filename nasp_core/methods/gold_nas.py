"""GOLD-NAS: gates that close one by one under a growing price.  Bi et al., 2020, arXiv:2007.03331."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts import Argmax, Dense, Prune, SingleLevel, Switches
from nasp_core.parts.mixtures import masked
from nasp_core.strategy import Paper, Schedule, SearchView, Strategy
from nasp_core.types import Alpha, Mixture, RelaxState, State, group_names

__all__ = ["PAPER", "GatePrice", "Gated", "Gates", "gold_nas"]


@dataclass(frozen=True)
class Gated(Switches):
    """Alpha is the logit of a gate for each candidate, half open at first; the more, the more open."""

    gives: ClassVar[frozenset[str]] = frozenset({"gated"})

    def start(self, candidates: int) -> float:
        """Return 0: half open."""
        return 0.0

    def scores(self, alpha: dict[str, Tensor], space: Space) -> dict[str, Tensor]:
        """Return the logits."""
        return {name: alpha[name] for name in group_names(alpha)}


@dataclass(frozen=True)
class Gates(Dense):
    """Mix all candidates with weights sigmoid(alpha): candidates do not compete (Bi et al. 2020, arXiv:2007.03331)."""

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth", "shares", "gates"})
    needs: ClassVar[dict[str, str]] = {"gated": "gates need logits of their own; use domain = Gated"}

    def shares(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return the gates, zero where pruned."""
        return {name: torch.sigmoid(t) for name, t in masked(alpha, state.alive).items()}


@dataclass(frozen=True)
class GatePrice(Schedule):
    """Add eta * progress * (sum of gates, each by its candidate's share of the parameters) (Bi et al. 2020, eq. 4).

    The price grows as the search goes on, so that more and more gates close. Where size does not depend on the choice,
    all gates of a choice cost alike.
    """

    eta: float = 1.0

    needs: ClassVar[dict[str, str]] = {"gates": "there are no gates to pay for; use relax = Gates"}

    def penalty(self, mixture: Mixture, view: SearchView, state: State) -> Tensor | None:
        """Return the price of the open gates."""
        assert isinstance(view.space, Space)
        sizes, weights = view.space.relative_parameters(), mixture.weights or {}
        terms = []
        for name, gates in weights.items():
            share = sizes.get(name, torch.full(gates.shape, 1.0 / gates.shape[1])).to(gates.device)
            terms.append((gates * share).sum() / gates.shape[0])
        return self.eta * view.progress * torch.stack(terms).sum() if terms else None


PAPER = Paper(
    title="GOLD-NAS: Gradual, One-Level, Differentiable",
    authors="Kaifeng Bi, Lingxi Xie, Xin Chen, Longhui Wei, Qi Tian",
    venue="arXiv preprint",
    year=2020,
    arxiv="2007.03331",
)


def gold_nas(
    *,
    alpha_lr: float = 0.02,
    betas: tuple[float, float] = (0.5, 0.999),
    eta: float = 1.0,
    threshold: float = 0.05,
    noise: float = 1e-3,
) -> Strategy:
    """Search by one-level training of sigmoid gates under a price that grows; gates below `threshold` close for good.

    Parts: domain=Gated, relax=Gates, gradient=SingleLevel, select=Argmax; schedules GatePrice and Prune.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: one network is read at the end, one candidate a choice (there, several may stay, and a
    Pareto set is collected on the way); edges have no gate of their own; the price grows linearly.
    Fails when: the price is too low to close gates within the budget: the largest gate is then read off a mixture.
    """
    return Strategy(
        domain=Gated(noise),
        relax=Gates(),
        gradient=SingleLevel(lr=alpha_lr, betas=betas),
        select=Argmax(),
        schedules=(GatePrice(eta), Prune(threshold, threshold, absolute=True)),
        name="gold-nas",
        papers=(PAPER,),
    )

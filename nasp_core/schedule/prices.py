"""Prices on alpha: DrNAS' prior, GOLD-NAS' growing price of gates, BayesNAS' relevance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.relax.alive import alive_of
from nasp_core.relax.dirichlet import concentration
from nasp_core.schedule.pruning import prune
from nasp_core.strategy import Schedule, SearchView
from nasp_core.types import Mixture, State, group_names

__all__ = ["DirichletPrior", "GatePrice", "Relevance"]


@dataclass(frozen=True)
class DirichletPrior(Schedule):
    """Add `weight` * KL(Dir(concentrations) || Dir(1)) to the loss (Chen et al. 2021, section 3.2)."""

    weight: float = 1e-3

    needs: ClassVar[dict[str, str]] = {"dirichlet": "there are no concentrations; use relax = Dirichlet"}

    def penalty(self, mixture: Mixture, view: SearchView, state: State) -> Tensor | None:
        """Return the weighted divergence, summed over choices."""
        terms = []
        for name in group_names(view.alpha):
            c = concentration(view.alpha[name])
            drawn, even = (torch.distributions.Dirichlet(rows) for rows in (c, torch.ones_like(c)))
            terms.append(torch.distributions.kl_divergence(drawn, even).sum())
        return self.weight * torch.stack(terms).sum()


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
        burden, weights = view.space.burden(), mixture.weights or {}
        terms = []
        for name, gates in weights.items():
            share = burden.get(name, torch.full(gates.shape, 1.0 / gates.shape[1])).to(gates.device)
            terms.append((gates * share).sum() / gates.shape[0])
        return self.eta * view.progress * torch.stack(terms).sum() if terms else None


@dataclass(frozen=True)
class Relevance(Schedule):
    """Automatic relevance determination on switches: a re-weighted L1 price, and pruning by variance (BayesNAS).

    Once an epoch (Zhou et al. 2019, arXiv:1905.04919, algorithm 1): gamma = |alpha| / omega, omega =
    sqrt(H / (1 + gamma H)) by the Laplace approximation, H the curvature of the loss in alpha; switches of variance
    gamma below `threshold` are dead for good. The price is `weight` * sum of omega |alpha|. H is a running mean of the
    squared slopes, scaled to a mean of 1.
    """

    weight: float = 1e-2
    threshold: float = 1e-3
    momentum: float = 0.9

    needs: ClassVar[dict[str, str]] = {
        "switches": "relevance is that of switches; use domain = Switches",
        "pathwise": "it learns from the slopes of the switches; use gradient = SingleLevel or FirstOrder",
    }

    def init(self) -> State:
        """Return the curvature and omega, empty until there are slopes."""
        return {"curvature": {}, "omega": {}}

    def learned(self, view: SearchView, state: State) -> None:
        """Take the slopes into the curvature."""
        for name in group_names(view.alpha):
            slope = view.alpha[name].grad
            if slope is not None:
                squared, old = slope.detach().cpu().square(), state["curvature"].get(name)
                kept = squared if old is None else self.momentum * old + (1 - self.momentum) * squared
                state["curvature"][name] = kept

    @torch.no_grad()
    def advance(self, view: SearchView, state: State) -> None:
        """Once an epoch re-weight and prune."""
        if view.step == 0 or view.step % view.epoch_steps or not state["curvature"]:
            return
        keep, sizes = {}, {}
        for name, curvature in state["curvature"].items():
            size = view.alpha[name].detach().abs().cpu()
            bend = curvature / curvature.mean().clamp_min(1e-30)
            gamma = size / state["omega"].get(name, torch.ones_like(size)).clamp_min(1e-6)
            state["omega"][name] = (bend / (1 + gamma * bend)).sqrt()
            keep[name], sizes[name] = gamma >= self.threshold, size
        prune(view, keep, sizes)

    def penalty(self, mixture: Mixture, view: SearchView, state: State) -> Tensor | None:
        """Return the re-weighted L1 norm of the switches that are alive."""
        alive, terms = alive_of(view.relax_state), []
        for name in group_names(view.alpha):
            tensor = view.alpha[name]
            omega = state["omega"].get(name, torch.ones(tensor.shape)).to(tensor.device)
            there = 1.0 if alive is None else alive[name].to(tensor.device)
            terms.append((omega * there * tensor.abs()).sum())
        return self.weight * torch.stack(terms).sum()

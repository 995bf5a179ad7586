"""DrNAS: mixture weights drawn from a Dirichlet.  Chen et al., ICLR 2021, arXiv:2006.10355."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from nasp_core.network import Space
from nasp_core.parts import Argmax, Dense, FirstOrder, Logits, PartialChannels, Shrink
from nasp_core.strategy import Paper, Schedule, SearchView, Strategy
from nasp_core.types import Alpha, Mixture, Phase, RelaxState, State, group_names

__all__ = ["PAPER", "Dirichlet", "DirichletPrior", "concentration", "dirichlet_sample", "drnas"]


def concentration(alpha: Tensor) -> Tensor:
    """Return elu(alpha) + 1, above zero (Chen et al. 2021, section 3.1)."""
    return functional.elu(alpha) + 1.0 + 1e-6


def dirichlet_sample(concentrations: Tensor, generator: torch.Generator) -> Tensor:
    """Return a draw `[choices, candidates]` of each row's Dirichlet, with path-wise gradients to its concentrations.

    Gamma draws are differentiated implicitly (Figurnov et al. 2018); drawn on the CPU, so that a seed gives the same
    draws on every device.
    """
    gamma = torch._standard_gamma(concentrations.cpu(), generator=generator).clamp_min(1e-30)
    return (gamma / gamma.sum(-1, keepdim=True)).to(concentrations.device)


@dataclass(frozen=True)
class Dirichlet(Dense):
    """Weights ~ Dir(elu(alpha) + 1), drawn anew in every step (Chen et al. 2021, arXiv:2006.10355, eq. 2).

    A validation of the supernet sees the mean. Pruned candidates draw next to nothing, and do not run.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth", "convex", "shares", "random", "dirichlet"})

    def shares(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return the mean weights, with alpha's graph."""
        rows = self._concentrations(alpha, state)
        return {name: c / c.sum(-1, keepdim=True) for name, c in rows.items()}

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return a dense mixture of drawn weights."""
        if phase == "valid":
            return Mixture(weights=self.shares(alpha, space, state), kept=state.kept())
        weights, alive = {}, state.alive
        for name, c in self._concentrations(alpha, state).items():
            drawn = dirichlet_sample(c.detach() if phase == "weight" else c, generator)
            weights[name] = drawn if alive is None else drawn * alive[name].to(drawn.device)
        return Mixture(weights=weights, kept=state.kept())

    @staticmethod
    def _concentrations(alpha: Alpha, state: RelaxState) -> dict[str, Tensor]:
        alive = state.alive
        rows = {name: concentration(alpha[name]) for name in group_names(alpha)}
        if alive is None:
            return rows
        # a concentration of next to nothing draws next to nothing
        return {name: torch.where(alive[name].to(c.device), c, torch.full_like(c, 1e-20)) for name, c in rows.items()}


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


PAPER = Paper(
    title="DrNAS: Dirichlet Neural Architecture Search",
    authors="Xiangning Chen, Ruochen Wang, Minhao Cheng, Xiaocheng Tang, Cho-Jui Hsieh",
    venue="International Conference on Learning Representations",
    year=2021,
    arxiv="2006.10355",
)


def drnas(
    *,
    alpha_lr: float = 6e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    prior: float = 1e-3,
    keep: int = 0,
    share: int = 1,
) -> Strategy:
    """Search over the concentrations of a Dirichlet, elu(alpha) + 1, with path-wise gradients (equation 2).

    `prior` weighs the divergence from an even Dirichlet. Progressive learning (section 4) with `keep`: at half of the
    search the `keep` best candidates of each choice stay; and with `share`: they see 1 / share of the channels.

    Parts: domain=Logits, relax=Dirichlet, gradient=FirstOrder, select=Argmax; schedule DirichletPrior, with `keep`
    Shrink; with `share` > 1 hook PartialChannels.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the share of channels stays one through both stages (the paper: 1/6, then 1/4).
    Fails when: concentrations stay near 1 within the budget: draws are then all over the simplex, and the mean is
    nearly even.
    """
    return Strategy(
        domain=Logits(),
        relax=Dirichlet(),
        gradient=FirstOrder(lr=alpha_lr, betas=betas),
        select=Argmax(),
        schedules=(DirichletPrior(prior), *((Shrink((0.5,), (keep,)),) if keep else ())),
        hooks=(PartialChannels(share),) if share > 1 else (),
        name="drnas",
        papers=(PAPER,),
    )

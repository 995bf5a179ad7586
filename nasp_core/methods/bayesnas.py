"""BayesNAS: switches whose relevance is learned, and pruned.  Zhou et al., ICML 2019, arXiv:1905.04919."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.parts import Argmax, SingleLevel, Switches, Weights
from nasp_core.parts.schedules import prune
from nasp_core.strategy import Paper, Schedule, SearchView, Strategy
from nasp_core.types import Mixture, State, group_names

__all__ = ["PAPER", "Relevance", "bayesnas"]


@dataclass(frozen=True)
class Relevance(Schedule):
    """Automatic relevance determination on switches: a re-weighted L1 price, and pruning by variance (BayesNAS).

    Once an epoch (Zhou et al. 2019, arXiv:1905.04919, algorithm 1): gamma = |alpha| / omega, omega =
    sqrt(H / (1 + gamma H)) by the Laplace approximation, H the curvature of the loss in alpha; switches of variance
    gamma below `threshold` are dead for good. The price is `weight` * sum of omega |alpha|. H is a running mean of the
    squared gradients, scaled to a mean of 1.
    """

    weight: float = 1e-2
    threshold: float = 1e-3
    momentum: float = 0.9

    needs: ClassVar[dict[str, str]] = {
        "switches": "relevance is that of switches; use domain = Switches",
        "pathwise": "it learns from the gradients of the switches; use gradient = SingleLevel or FirstOrder",
    }

    def init(self) -> State:
        """Return the curvature and omega, empty until there are gradients."""
        return {"curvature": {}, "omega": {}}

    def learned(self, view: SearchView, state: State) -> None:
        """Take the gradients into the curvature."""
        for name in group_names(view.alpha):
            gradient = view.alpha[name].grad
            if gradient is not None:
                squared, old = gradient.detach().cpu().square(), state["curvature"].get(name)
                kept = squared if old is None else self.momentum * old + (1 - self.momentum) * squared
                state["curvature"][name] = kept

    @torch.no_grad()
    def advance(self, view: SearchView, state: State) -> None:
        """Re-weight and prune, once an epoch."""
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
        alive, terms = view.relax_state.alive, []
        for name in group_names(view.alpha):
            tensor = view.alpha[name]
            omega = state["omega"].get(name, torch.ones(tensor.shape)).to(tensor.device)
            there = 1.0 if alive is None else alive[name].to(tensor.device)
            terms.append((omega * there * tensor.abs()).sum())
        return self.weight * torch.stack(terms).sum()


PAPER = Paper(
    title="BayesNAS: A Bayesian Approach for Neural Architecture Search",
    authors="Hongpeng Zhou, Minghao Yang, Jun Wang, Wei Pan",
    venue="International Conference on Machine Learning",
    year=2019,
    arxiv="1905.04919",
)


def bayesnas(
    *,
    alpha_lr: float = 3e-3,
    betas: tuple[float, float] = (0.5, 0.999),
    relevance: float = 1e-2,
    threshold: float = 1e-3,
) -> Strategy:
    """Search by one-level training of switches under a re-weighted sparse prior (algorithm 1).

    Parts: domain=Switches, relax=Weights, gradient=SingleLevel, select=Argmax of |alpha|; schedule Relevance.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the curvature is a running mean of squared gradients, not the layer-wise Hessian; the
    prior's dependence of a node on the edges before it is left to the space's own constraint; the last candidate stays.
    Fails when: candidates' outputs differ in scale: a switch then says how much of an output is wanted.
    """
    return Strategy(
        domain=Switches(),
        relax=Weights(),
        gradient=SingleLevel(lr=alpha_lr, betas=betas),
        select=Argmax(),
        schedules=(Relevance(relevance, threshold),),
        name="bayesnas",
        papers=(PAPER,),
    )

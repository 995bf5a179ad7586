"""ASNG: natural gradients on probabilities, by ranks of drawn points.  Akimoto et al., ICML 2019, arXiv:1905.08537."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.parts import Argmax, ByRule, Categorical, Simplex
from nasp_core.parts.mixtures import masked
from nasp_core.strategy import Paper, StepContext, Strategy
from nasp_core.types import Active, Alpha, RelaxState, State, group_names

__all__ = ["PAPER", "CategoricalShares", "Natural", "asng", "natural_gradient"]


@dataclass(frozen=True)
class CategoricalShares(Categorical):
    """One live candidate per choice, drawn with alpha itself as its probability; see `Categorical`."""

    needs: ClassVar[dict[str, str]] = {"simplex": "alpha itself is the probability; use domain = Simplex"}

    def logits(self, alpha: Alpha, state: RelaxState) -> dict[str, Tensor]:
        """Return log alpha, -inf for what was pruned."""
        return {name: p.clamp_min(0.0).log() for name, p in masked(alpha, state.alive, dead=0.0).items()}


def natural_gradient(
    points: Sequence[Active], utilities: Sequence[float], theta: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return mean of u * (c - theta): an unbiased natural gradient of the expected utility.

    `theta[group]` are the probabilities `[choices, candidates]`, c the one-hot points drawn from them; a dropped choice
    says nothing. F^-1 d log p(c) / d theta = c - theta for a categorical distribution (Akimoto et al. 2019, eq. 8).
    """
    gradient = {name: torch.zeros_like(theta[name]) for name in group_names(theta)}
    for active, utility in zip(points, utilities, strict=True):
        for name, total in gradient.items():
            for row, pick in enumerate(active[name]):
                if pick >= 0:
                    total[row] -= utility * theta[name][row] / len(points)
                    total[row, pick] += utility / len(points)
    return gradient


@dataclass(frozen=True)
class Natural(ByRule):
    """Adaptive stochastic natural gradient (Akimoto et al. 2019, arXiv:1905.08537, algorithm 1).

    A step draws `samples` points, ranks them by validation loss (utility 1 for the best quarter, at least one, -1 for
    the worst), and goes `rate` / Delta along the natural gradient, of unit length in the Fisher norm. Delta grows while
    the steps' direction is mostly noise and shrinks while it is mostly signal (threshold `trust`).
    """

    rate: float = 1.0
    samples: int = 2
    trust: float = 1.5

    needs: ClassVar[dict[str, str]] = {
        "log_prob": "natural gradients learn from drawn points; use relax = Categorical",
        "simplex": "natural gradients move probabilities; use domain = Simplex",
    }

    def remember(self, alpha: Alpha) -> State:
        """Return the path of the steps and its length, and Delta."""
        path = {name: torch.zeros_like(alpha[name]) for name in group_names(alpha)}
        return {"path": {name: tensor.detach() for name, tensor in path.items()}, "gamma": 0.0, "delta": 1.0}

    def step(self, context: StepContext, state: State) -> None:
        """Draw points, rank them, and move the probabilities."""
        mixtures, losses = self.drawn_losses(context, self.samples, state)
        order = torch.stack(losses).argsort(stable=True).tolist()
        extreme = max(1, math.ceil(self.samples / 4))
        utilities = [0.0] * self.samples
        for place, index in enumerate(order):
            utilities[index] = 1.0 if place < extreme else -1.0 if place >= self.samples - extreme else 0.0
        points = [mixture.active for mixture in mixtures if mixture.active is not None]
        theta = {name: context.alpha[name].detach() for name in group_names(context.alpha)}
        self._follow(theta, natural_gradient(points, utilities, theta), state)

    def move(self, context: StepContext, grads: dict[str, Tensor | None], state: State) -> None:
        """Take no gradient of a mixture."""

    def _follow(self, theta: dict[str, Tensor], gradient: dict[str, Tensor], state: State) -> None:
        """Move theta in place along a natural gradient, and adapt Delta (algorithm 1, lines 7 to 11)."""
        # in the Fisher metric of a categorical distribution |x|^2 = sum of x^2 / theta
        scaled = {name: g / theta[name].clamp_min(1e-12).sqrt() for name, g in gradient.items()}
        length = math.sqrt(sum(float(s.square().sum()) for s in scaled.values()))
        if length == 0.0:
            return  # the best and the worst are one point
        free = sum(t.shape[0] * max(0, t.shape[1] - 1) for t in theta.values())
        step = self.rate / state["delta"]
        beta = min(1.0, step / math.sqrt(max(1, free)))
        for name, g in gradient.items():
            theta[name].add_(step * g / length)
            path = state["path"][name].to(g.device)
            state["path"][name] = (1 - beta) * path + math.sqrt(beta * (2 - beta)) * scaled[name] / length
        state["gamma"] = (1 - beta) ** 2 * state["gamma"] + beta * (2 - beta)
        signal = sum(float(path.square().sum()) for path in state["path"].values())
        state["delta"] = min(1e6, state["delta"] * math.exp(beta * (state["gamma"] - signal / self.trust)))


PAPER = Paper(
    title="Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search",
    authors="Youhei Akimoto, Shinichi Shirakawa, Nozomu Yoshinari, Kento Uchida, Shota Saito, Kouhei Nishida",
    venue="International Conference on Machine Learning",
    year=2019,
    arxiv="1905.08537",
)


def asng(*, rate: float = 1.0, samples: int = 2, trust: float = 1.5) -> Strategy:
    """Search by adaptive stochastic natural gradients on a distribution over points (algorithm 1), by ranks alone.

    Parts: domain=Simplex(floor of ASNG), relax=CategoricalShares, gradient=Natural, select=Argmax.
    Shapes: alpha `[choices, candidates]` float32, rows on the simplex; loss scalar, mean per batch, used by rank alone.
    Departs from the paper: points are judged on one validation batch each, weights are trained on one more drawn point.
    Fails when: the loss of a batch is noisier than the difference between points: Delta then grows, and nothing moves.
    """
    return Strategy(
        domain=Simplex(floor=None),
        relax=CategoricalShares(),
        gradient=Natural(rate=rate, samples=samples, trust=trust),
        select=Argmax(),
        name="asng",
        papers=(PAPER,),
    )

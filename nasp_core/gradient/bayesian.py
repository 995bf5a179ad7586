"""The Bayesian learning rule on a Gaussian over alpha: BaLeNAS'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.domain.gaussian import PRECISION
from nasp_core.gradient.steps import NEEDS_SLOPE, ByRule
from nasp_core.strategy import StepContext
from nasp_core.types import Alpha, State, group_names

__all__ = ["Bayesian"]


@dataclass(frozen=True)
class Bayesian(ByRule):
    """Natural gradient steps on mean and precision of N(mu, 1 / precision) (Zhang et al. 2022, arXiv:2111.13204).

    With g the validation gradient at a drawn alpha, Adam's form of the rule (Khan et al. 2018, arXiv:1806.04854):
    m <- b1 m + (1 - b1)(g + prior mu / data), s <- b2 s + (1 - b2) g^2, mu <- mu - lr m^ / (sqrt(s^) + prior / data),
    precision = data * s + prior, hats for the correction of the start. `data` is how many examples the loss stands for.
    """

    lr: float = 3e-3
    betas: tuple[float, float] = (0.5, 0.999)
    data: float = 1e4

    needs: ClassVar[dict[str, str]] = {
        "slope": NEEDS_SLOPE,
        "gaussian": "the Bayesian learning rule moves a mean and a precision; use domain = Gaussian",
    }

    def remember(self, alpha: Alpha) -> State:
        """Return first and second moments, the prior's precision, and the number of steps."""
        names = group_names(alpha)
        zeros = {name: torch.zeros_like(alpha[name]).detach() for name in names}
        prior = {name: alpha[f"{name}/{PRECISION}"].detach().clone() for name in names}
        return {"first": zeros, "second": {k: v.clone() for k, v in zeros.items()}, "prior": prior, "count": 0}

    def move(self, context: StepContext, grads: dict[str, Tensor | None], state: State) -> None:
        """Move the mean against the gradient, scaled by the precision, and learn the precision."""
        state["count"] += 1
        (one, two), count = self.betas, state["count"]
        for name, grad in grads.items():
            if grad is None:
                continue
            mu, precision = context.alpha[name], context.alpha[f"{name}/{PRECISION}"]
            first, second, prior = (state[key][name].to(grad.device) for key in ("first", "second", "prior"))
            state["first"][name] = first = one * first + (1 - one) * (grad + prior * mu / self.data)
            state["second"][name] = second = two * second + (1 - two) * grad.square()
            scale = (second / (1 - two**count)).sqrt() + prior / self.data
            mu.sub_(self.lr * first / (1 - one**count) / scale)
            precision.copy_(self.data * second + prior)

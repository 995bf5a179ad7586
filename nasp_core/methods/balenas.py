"""BaLeNAS: alpha as a Gaussian, learned by the Bayesian learning rule.  Zhang et al., CVPR 2022, arXiv:2111.13204."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.errors import StrategyError
from nasp_core.network import Space
from nasp_core.parts import Argmax, ByRule, Logits, Softmax
from nasp_core.parts.gradients import NEEDS_GRADIENT
from nasp_core.parts.samples import displaced
from nasp_core.strategy import Paper, StepContext, Strategy
from nasp_core.types import Alpha, Mixture, Phase, RelaxState, State, group_names

__all__ = ["PAPER", "PRECISION", "Bayesian", "Gaussian", "GaussianSoftmax", "balenas"]

PRECISION = "precision"


@dataclass(frozen=True)
class Gaussian(Logits):
    """N(mu, 1 / precision): mu under the group's name, the precision beside it (Zhang et al. 2022, eq. 6).

    The precision starts at that of the prior and is the gradient's to learn. Candidates are compared by softmax(mu).
    """

    precision: float = 100.0

    gives: ClassVar[frozenset[str]] = frozenset({"logits", "gaussian"})

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError` for what is no precision."""
        if self.precision <= 0:
            raise StrategyError(f"{self.describe()}: the precision must be above 0")

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return means near zero and the prior's precisions, float32 `[choices, candidates]` each."""
        mean = super().init(space, generator, device)
        return mean | {f"{name}/{PRECISION}": torch.full_like(mu, self.precision).detach() for name, mu in mean.items()}


@dataclass(frozen=True)
class GaussianSoftmax(Softmax):
    """softmax(mu + noise / sqrt(precision)) with new noise in every step (Zhang et al. 2022, eq. 6).

    A validation of the supernet sees softmax(mu).
    """

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth", "convex", "temperature", "shares", "random"})
    needs: ClassVar[dict[str, str]] = {"gaussian": "samples need a precision; use domain = Gaussian"}

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return a dense mixture at a drawn alpha."""
        if phase != "valid":
            deviation = {name: alpha[f"{name}/{PRECISION}"].rsqrt() for name in group_names(alpha)}
            alpha = displaced(alpha, {**deviation}, generator)
        return super().mixture(alpha, space, phase, state, generator)


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
        "gradient": NEEDS_GRADIENT,
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


PAPER = Paper(
    title="BaLeNAS: Differentiable Architecture Search via the Bayesian Learning Rule",
    authors="Miao Zhang, Shirui Pan, Xiaojun Chang, Steven Su, Jilin Hu, Gholamreza Haffari, Bin Yang",
    venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year=2022,
    arxiv="2111.13204",
)


def balenas(
    *, alpha_lr: float = 3e-3, betas: tuple[float, float] = (0.5, 0.999), precision: float = 100.0, data: float = 1e4
) -> Strategy:
    """Search over the mean and precision of a Gaussian on alpha; each step sees a draw (equations 6 to 10).

    `precision` is the prior's, `data` the number of examples that a loss stands for: together they set the noise.

    Parts: domain=Gaussian, relax=GaussianSoftmax, gradient=Bayesian, select=Argmax of the mean.
    Shapes: alpha `[choices, candidates]` float32 and a precision of the same shape; loss scalar, mean per batch.
    Departs from the paper: Adam's form of the rule (Khan et al. 2018), with momentum; the choice among samples by a
    training-free score is the part `ByProxy`, not used here.
    Fails when: the precision stays at the prior's: the noise then hides small gradients.
    """
    return Strategy(
        domain=Gaussian(precision=precision),
        relax=GaussianSoftmax(),
        gradient=Bayesian(lr=alpha_lr, betas=betas, data=data),
        select=Argmax(),
        name="balenas",
        papers=(PAPER,),
    )

"""One-hot samples of the softmax by Gumbel noise: GDAS' and MSG-DAS'."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.errors import StrategyError
from nasp_core.network import Space
from nasp_core.parts.alive import masked
from nasp_core.parts.noise import gumbel_like
from nasp_core.parts.one_hot import straight_through
from nasp_core.parts.softmax import Softmax
from nasp_core.types import Alpha, Mixture, Phase, RelaxState

__all__ = ["GumbelHard"]


@dataclass(frozen=True)
class GumbelHard(Softmax):
    """One-hot samples of softmax(alpha), with the gradient of their soft form (Dong and Yang 2019, eqs. 4 and 5).

    In the architecture step only the drawn candidate need run (a recurrent cell runs all), and only its weight has a
    gradient; that reaches every alpha of the choice through the softmax at `temperature`. `samples` > 1 draws as many
    disjoint points without replacement, whose mean loss a step follows (MSG-DAS, Tan et al. 2021, arXiv:2107.04324).
    Choices draw by themselves: no edge is dropped while searching. A validation sees the most probable candidates.
    """

    temperature: float = 10.0
    samples: int = 1

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "discrete", "convex", "temperature", "shares", "random"})

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError`."""
        if self.samples < 1:
            raise StrategyError(f"{self.describe()}: samples must be 1 or more")

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return one drawn point, or in a validation the most probable one."""
        if phase == "valid":
            best = {name: tuple(t.detach().argmax(-1).tolist()) for name, t in masked(alpha, state.alive).items()}
            return Mixture(active=best)
        return self._drawn(alpha, phase, state, generator, 1)[0]

    def paths(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> tuple[Mixture, ...]:
        """Return `samples` disjoint points, fewer where a choice has fewer candidates."""
        if phase == "valid":
            return (self.mixture(alpha, space, phase, state, generator),)
        return self._drawn(alpha, phase, state, generator, self.samples)

    def _drawn(
        self, alpha: Alpha, phase: Phase, state: RelaxState, generator: torch.Generator, count: int
    ) -> tuple[Mixture, ...]:
        temperature, alive = state.temperature or self.temperature, state.alive
        perturbed = {}
        for name, logits in masked(alpha, state.alive).items():
            perturbed[name] = torch.log_softmax(logits, -1) + gumbel_like(logits, generator)
        soft = {name: torch.softmax(t / temperature, -1) for name, t in perturbed.items()}
        order = {name: t.detach().argsort(-1, descending=True).cpu() for name, t in perturbed.items()}
        # a choice with fewer candidates than samples begins again
        left = {name: t.shape[-1] if alive is None else alive[name].sum(-1).min() for name, t in order.items()}
        points = []
        for number in range(count):
            picks = {name: tuple(t[:, number % int(left[name])].tolist()) for name, t in order.items()}
            points.append(picks)
        if phase == "weight":
            return tuple(Mixture(active=picks) for picks in points)
        made = []
        for picks in points:
            weights = straight_through(picks, soft).weights or {}
            alone = {name: torch.zeros_like(w).scatter(1, _column(picks[name], w), 1.0) for name, w in weights.items()}
            # the weights of what does not run have no gradient, whether or not the space runs it
            only = {name: torch.where(alone[name] > 0, w, torch.zeros_like(w)) for name, w in weights.items()}
            made.append(Mixture(weights=only, kept={name: tuple((pick,) for pick in picks[name]) for name in picks}))
        return tuple(made)


def _column(picks: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.tensor(picks, device=like.device).unsqueeze(1)

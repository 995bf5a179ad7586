"""Relaxations that mix what is alive, or take its nearest point; and what all relaxations share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.strategy import Relax
from nasp_core.types import Active, Alpha, Mixture, Phase, RelaxState, group_names

__all__ = ["Dense", "OneHot", "OneHotState", "Softmax", "Weights", "masked", "on_host", "projected", "straight_through"]


def masked(alpha: Alpha, alive: dict[str, Tensor] | None, dead: float = -torch.inf) -> dict[str, Tensor]:
    """Return the groups of alpha with `dead` in place of candidates that were pruned.

    Args:
        alpha: Float `[choices, candidates]` per group, on any device.
        alive: Bool of the same shape on the CPU, or None where all are alive (`RelaxState.alive`).
        dead: The value of what was pruned.
    """
    groups = {name: alpha[name] for name in group_names(alpha)}
    if alive is None:
        return groups
    return {name: torch.where(alive[name].to(t.device), t, dead) for name, t in groups.items()}


@dataclass(frozen=True)
class Dense(Relax):
    """Mix all candidates that are alive, with weights that a subclass makes of alpha (`shares`)."""

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return the dense mixture; in the weight step without gradient to alpha."""
        weights = self.shares(alpha, space, state)
        if phase == "weight":
            weights = {name: tensor.detach() for name, tensor in weights.items()}
        return Mixture(weights=weights, kept=state.kept())


@dataclass(frozen=True)
class Softmax(Dense):
    """Mix all candidates with weights softmax(alpha / temperature) (DARTS, Liu et al. 2019, eq. 2)."""

    temperature: float = 1.0

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth", "convex", "temperature", "shares"})

    def shares(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return the weights, with alpha's graph."""
        temperature = state.temperature or self.temperature
        return {name: torch.softmax(t / temperature, dim=-1) for name, t in masked(alpha, state.alive).items()}


@dataclass(frozen=True)
class Weights(Dense):
    """Mix all candidates with alpha as it stands (Li et al. 2021, section 3; Zhou et al. 2019, eq. 3)."""

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "smooth", "shares"})
    needs: ClassVar[dict[str, str]] = {
        "simplex|switches": "weights that no function bounds need a domain that does; use domain = Simplex or Switches"
    }

    def shares(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return alpha, zero where pruned."""
        return masked(alpha, state.alive, dead=0.0)


def straight_through(active: Active, alpha: Alpha) -> Mixture:
    """Return the mixture at a discrete point, one-hot in value, whose gradient reaches alpha unchanged."""
    weights: dict[str, Tensor] = {}
    for name in group_names(alpha):
        tensor = alpha[name]
        point = torch.zeros(tensor.shape, dtype=tensor.dtype)
        rows = [row for row, index in enumerate(active[name]) if index >= 0]
        point[rows, [active[name][row] for row in rows]] = 1.0
        weights[name] = point.to(tensor.device, non_blocking=True) + (tensor - tensor.detach())
    return Mixture(active=active, weights=weights)


def on_host(alpha: Alpha) -> dict[str, Tensor]:
    """Return alpha's values on the CPU, without graph: one wait for the device, whatever the number of groups."""
    tensors = [tensor.detach() for tensor in alpha.values()]
    if not tensors or tensors[0].device.type == "cpu":
        return dict(zip(alpha, tensors, strict=True))
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors]).cpu()
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return {name: part.view(tensor.shape) for (name, tensor), part in zip(alpha.items(), parts, strict=True)}


def projected(scores: dict[str, Tensor], alpha: Alpha, space: Space, phase: Phase) -> Mixture:
    """Return the point nearest to scores on the CPU; in the architecture step with the gradient of every candidate."""
    active = space.constrain(scores)
    return straight_through(active, alpha) if phase == "arch" else Mixture(active=active)


@dataclass
class OneHotState(RelaxState):
    """Alpha as it was at the weight step, on the CPU: it rests until the next architecture step."""

    scores: dict[str, Tensor] | None = None

    def keep(self, alive: Mapping[str, Tensor]) -> None:
        """Set which candidates are alive from now on; what was read of alpha before does not say so."""
        super().keep(alive)
        self.scores = None


@dataclass(frozen=True)
class OneHot(Relax):
    """Project alpha to the nearest one-hot point that meets the space's constraints (prox of C1, NASP eq. 5).

    The architecture step takes the gradient of every candidate at that point; the weight step runs the live
    candidate alone. `Space.constrain` is the projection, so search and final selection share one rule.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "discrete", "convex"})

    def init(self) -> OneHotState:
        """Return the state: nothing read of alpha yet."""
        return OneHotState()

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return the projected point; in the architecture step with the gradient of every candidate."""
        assert isinstance(state, OneHotState)
        scores = None
        if phase == "arch":
            scores, state.scores = state.scores, None
        if scores is None:
            scores = on_host(masked(alpha, state.alive))
        if phase == "weight":
            state.scores = scores  # one wait for the device a step
        return projected(scores, alpha, space, phase)

"""Which candidates are still in the search, and what relaxations make of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nasp_core.types import Alpha, State, group_names

__all__ = ["ALIVE", "KEPT", "TEMPERATURE", "alive_of", "kept_of", "masked", "set_alive", "temperature_of"]

ALIVE = "alive"


KEPT = "kept"


TEMPERATURE = "temperature"


def alive_of(state: State) -> Mapping[str, Tensor] | None:
    """Return per group which candidates are alive, bool `[choices, candidates]` on the CPU; None where all are."""
    alive: Mapping[str, Tensor] | None = state.get(ALIVE)
    return alive


def masked(alpha: Alpha, state: State, dead: float = -torch.inf) -> dict[str, Tensor]:
    """Return the groups of alpha with `dead` in place of candidates that were pruned."""
    alive = alive_of(state)
    groups = {name: alpha[name] for name in group_names(alpha)}
    if alive is None:
        return groups
    return {name: torch.where(alive[name].to(t.device), t, dead) for name, t in groups.items()}


def kept_of(state: State) -> Mapping[str, tuple[tuple[int, ...], ...]] | None:
    """Return the candidates that are alive as `Mixture.kept`; None where all are."""
    if ALIVE not in state:
        return None
    return {name: tuple(map(tuple, rows)) for name, rows in state[KEPT].items()}


def set_alive(state: State, alive: Mapping[str, Tensor]) -> None:
    """Say which candidates are alive from now on: bool `[choices, candidates]` per group, on the CPU."""
    state.pop("scores", None)  # of OneHot, from before
    state[ALIVE] = dict(alive)
    state[KEPT] = {name: [row.nonzero()[:, 0].tolist() for row in table] for name, table in alive.items()}


def temperature_of(state: State, default: float) -> float:
    """Return the temperature that a schedule set, else the relaxation's own."""
    return float(state.get(TEMPERATURE, default))

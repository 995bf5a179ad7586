"""What relaxations make of the candidates that were pruned."""

import torch
from torch import Tensor

from nasp_core.types import Alpha, group_names

__all__ = ["masked"]


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

"""Alpha as the mean of a Gaussian with a precision of its own for each entry: BaLeNAS' domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.domain.logits import Logits
from nasp_core.errors import StrategyError
from nasp_core.network import Space
from nasp_core.types import Alpha

__all__ = ["PRECISION", "Gaussian"]

PRECISION = "precision"


@dataclass(frozen=True)
class Gaussian(Logits):
    """N(mu, 1 / precision): mu under the group's name, the precision beside it (Zhang et al. 2022, eq. 6).

    The precision starts at that of the prior and is the gradient's to learn. Candidates are compared by softmax(mu).
    """

    precision: float = 100.0

    gives: ClassVar[frozenset[str]] = frozenset({"logits", "gaussian"})

    def __post_init__(self) -> None:
        """Refuse what is no precision."""
        if self.precision <= 0:
            raise StrategyError(f"{self.describe()}: the precision must be above 0")

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return means near zero and the prior's precisions, float32 `[choices, candidates]` each."""
        mean = super().init(space, generator, device)
        return mean | {f"{name}/{PRECISION}": torch.full_like(mu, self.precision).detach() for name, mu in mean.items()}

"""Alpha as probabilities, the domain of GAEA and of ASNG."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.errors import StrategyError
from nasp_core.network import Space
from nasp_core.strategy import Domain
from nasp_core.types import Alpha

__all__ = ["Simplex"]


@dataclass(frozen=True)
class Simplex(Domain):
    """Keep each choice's alpha a distribution, with no entry below a floor.

    `floor` None is ASNG's: 1 / (choices (candidates - 1)) (Akimoto et al. 2019, section 4.2), so that nothing dies out;
    where that is more than half of what evenness gives, half of it. A row below the floor is lifted to it, and what
    that costs is taken from the others in proportion to what they have above it. It starts even, but for `noise`.
    """

    floor: float | None = 1e-5
    noise: float = 0.0

    gives: ClassVar[frozenset[str]] = frozenset({"simplex"})

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError` for a floor that no distribution meets."""
        if (self.floor is not None and not 0 <= self.floor < 0.5) or self.noise < 0:
            raise StrategyError(f"{self.describe()}: needs 0 <= floor < 0.5 and noise >= 0")

    def _least(self, choices: int, candidates: int) -> float:
        """Return the floor of a row of so many candidates, in a space of so many choices in all."""
        floor = 1.0 / (choices * max(1, candidates - 1)) if self.floor is None else self.floor
        return min(floor, 0.5 / candidates)

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return even distributions, but for the noise; float32 `[choices, candidates]` per group."""
        alpha: Alpha = {}
        for group in space.groups:
            logits = self.noise * torch.randn(group.shape, generator=generator)
            alpha[group.name] = torch.softmax(logits, -1).to(device).requires_grad_()
        self.retract(alpha)
        return alpha

    @torch.no_grad()
    def retract(self, alpha: Alpha) -> None:
        """Lift what is below the floor and rescale the rest, in place; a row that is a distribution stays as it is."""
        choices = sum(tensor.shape[0] for tensor in alpha.values())
        for tensor in alpha.values():
            least = self._least(choices, tensor.shape[1])
            above = (tensor - least).clamp_min(0.0)
            room = 1.0 - least * tensor.shape[1]
            total = above.sum(-1, keepdim=True)
            # a row that gave everything away (all below the floor) is even again
            lifted = least + torch.where(total > 0, above * (room / total.clamp_min(1e-30)), room / tensor.shape[1])
            good = ((tensor.sum(-1, keepdim=True) - 1).abs() <= 1e-5) & (tensor.amin(-1, keepdim=True) >= least - 1e-7)
            tensor.copy_(torch.where(good, tensor, lifted))

"""Size: judge an untrained network by how many weights it has."""

from dataclasses import dataclass
from typing import ClassVar

from nasp_core.network import Loss, Network
from nasp_core.strategy import Paper
from nasp_core.types import Batch


@dataclass(frozen=True)
class Size:
    """Score a network by its number of weights to some power; larger is better."""

    power: float = 1.0
    name: ClassVar[str] = "size"
    papers: ClassVar[tuple[Paper, ...]] = ()

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Return the score; the network is left as it was."""
        return float(sum(weight.numel() for weight in network.parameters())) ** self.power

"""How steep the loss is in the weights at the start.  Abdelfattah et al., ICLR 2021, arXiv:2101.08134."""

from dataclasses import dataclass
from typing import ClassVar

from nasp_core.network import Loss, Network
from nasp_core.proxies.probing import apart, loss_gradients, lowest, scored_weights
from nasp_core.proxies.synflow import ZERO_COST
from nasp_core.strategy import Paper
from nasp_core.types import Batch

__all__ = ["GradNorm"]


@dataclass(frozen=True)
class GradNorm:
    """Score a network by the sum over its weight tensors of the Euclidean norm of the loss's gradient.

    Batch norms take the batch's own statistics. The weights are those of `scored_weights`.
    Departs from the paper: none known.
    Fails when: networks differ in the scale of their loss rather than in what they can learn.
    """

    name: ClassVar[str] = "grad-norm"
    papers: ClassVar[tuple[Paper, ...]] = (ZERO_COST,)

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Return the sum of the norms."""
        with apart(network) as copied:
            found = loss_gradients(copied, batch, loss, scored_weights(copied))
            return lowest(float(sum(gradient.norm().double() for gradient in found)))

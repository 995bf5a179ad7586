"""How much the loss depends on each weight at the start.  Lee et al., ICLR 2019, arXiv:1810.02340."""

from dataclasses import dataclass
from typing import ClassVar

from nasp_core.network import Loss, Network
from nasp_core.proxies.probing import apart, loss_gradients, lowest, scored_weights
from nasp_core.proxies.synflow import ZERO_COST
from nasp_core.strategy import Paper
from nasp_core.types import Batch

__all__ = ["Snip"]

PAPER = Paper(
    title="SNIP: Single-shot Network Pruning based on Connection Sensitivity",
    authors="Namhoon Lee, Thalaiyasingam Ajanthan, Philip H. S. Torr",
    venue="International Conference on Learning Representations",
    year=2019,
    arxiv="1810.02340",
)


@dataclass(frozen=True)
class Snip:
    """Score a network by sum |w g|, g = dL/dw: the loss's gradient in a gate at each weight (eq. 5, not normalised).

    Batch norms take the batch's own statistics. The weights are those of `scored_weights`.
    Departs from the paper: summed over the network, as Abdelfattah et al. (2021) use it; weights are drawn as the
    network draws them, not scaled by fan-in and fan-out.
    Fails when: networks differ in the scale of their loss rather than in what they can learn.
    """

    name: ClassVar[str] = "snip"
    papers: ClassVar[tuple[Paper, ...]] = (PAPER, ZERO_COST)

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Return the sum of |w g|."""
        with apart(network) as copied:
            weights = scored_weights(copied)
            found = loss_gradients(copied, batch, loss, weights)
            return lowest(
                sum(float((w.detach() * g).abs().sum().double()) for w, g in zip(weights, found, strict=True))
            )

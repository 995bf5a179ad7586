"""How much the loss depends on each channel at the start.  Theis et al. 2018, arXiv:1801.05787; Turner et al. 2020."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nasp_core.errors import ProxyError
from nasp_core.network import Loss, Network
from nasp_core.proxies.probing import Watch, apart, continuous_inputs, gradients, lowest
from nasp_core.proxies.synflow import ZERO_COST
from nasp_core.strategy import Paper
from nasp_core.types import Batch

__all__ = ["Fisher"]

PAPER = Paper(
    title="BlockSwap: Fisher-guided Block Substitution for Network Compression on a Budget",
    authors="Jack Turner, Elliot J. Crowley, Michael O'Boyle, Amos Storkey, Gavin Gray",
    venue="International Conference on Learning Representations",
    year=2020,
    arxiv="1906.04113",
)
THEIS = Paper(
    title="Faster gaze prediction with dense networks and Fisher pruning",
    authors="Lucas Theis, Iryna Korshunova, Alykhan Tejani, Ferenc Huszár",
    venue="European Conference on Computer Vision Workshops",
    year=2018,
    arxiv="1801.05787",
)


@dataclass(frozen=True)
class Fisher:
    """Score a network by the Fisher information of its channels: what taking each away would cost in the loss.

    Sum over the outputs a of all convolutions and linear layers, and their channels c, of
    1/2 mean over samples n of (sum over positions of a_nc dL/da_nc)^2, L the batch's mean loss.
    Batch norms take the batch's own statistics.
    Departs from the paper: before training and over all layers, as Abdelfattah et al. (2021) use it.
    Fails when: the network has no such layers, or its inputs are ids (`ProxyError`).
    """

    name: ClassVar[str] = "fisher"
    papers: ClassVar[tuple[Paper, ...]] = (PAPER, THEIS, ZERO_COST)

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Return the sum over layers and channels."""
        continuous_inputs(batch, "this score is of the channels of layers that see samples one by one")
        with apart(network) as copied:
            with Watch() as seen:
                value = copied.training_loss(batch, None, loss).loss
            layers = [out for out in seen.layers if out.requires_grad]
            if not layers:
                raise ProxyError(f"{type(network).__name__} has neither convolutions nor linear layers; use grad-norm")
            return lowest(sum(map(_information, layers, gradients(value, layers))))


def _information(activation: Tensor, gradient: Tensor) -> float:
    """Return the sum over channels of half the mean square: `[batch, channels, ...]`, or `[batch, channels]`."""
    per_channel = (
        (activation.detach() * gradient).flatten(2).sum(2) if activation.dim() > 2 else activation.detach() * gradient
    )
    return float(per_channel.double().square().mean(0).sum() / 2)

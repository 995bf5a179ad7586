"""How much flows through all paths of a network, data aside.  Tanaka et al., NeurIPS 2020, arXiv:2006.05467."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from nasp_core.errors import ProxyError
from nasp_core.network import Loss, Network
from nasp_core.proxies.probing import NormsOff, apart, gradients, one_of_ones, scored_weights
from nasp_core.strategy import Paper
from nasp_core.types import Batch

__all__ = ["ZERO_COST", "Synflow"]

PAPER = Paper(
    title="Pruning neural networks without any data by iteratively conserving synaptic flow",
    authors="Hidenori Tanaka, Daniel Kunin, Daniel L. K. Yamins, Surya Ganguli",
    venue="Advances in Neural Information Processing Systems",
    year=2020,
    arxiv="2006.05467",
)
ZERO_COST = Paper(
    title="Zero-Cost Proxies for Lightweight NAS",
    authors="Mohamed S. Abdelfattah, Abhinav Mehrotra, Lukasz Dudziak, Nicholas D. Lane",
    venue="International Conference on Learning Representations",
    year=2021,
    arxiv="2101.08134",
)


@dataclass(frozen=True)
class Synflow:
    """Score a network by log of sum |w dR/dw|, R = the summed output for an input of ones under absolute weights.

    Of a network of linear layers and ReLUs, each layer contributes the same: the sum over all paths of the product of
    the absolute weights. Computed in float64 without batch norms, which would rescale the flow (as in the zero-cost
    code), and without dropout. The batch gives the shape of the input alone; where the inputs are ids, it tells which
    rows of the tables are used.
    Departs from the paper: the logarithm, which changes no ranking; the sum runs over the weights of
    `scored_weights`, as biases carry no path from the input.
    Fails when: no path leads from the input to the output: -inf; the flow exceeds float64 (`ProxyError`).
    """

    name: ClassVar[str] = "synflow"
    papers: ClassVar[tuple[Paper, ...]] = (PAPER, ZERO_COST)

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Return the logarithm of the flow."""
        with apart(network, torch.float64) as copied, NormsOff():
            copied.eval()
            with torch.no_grad():
                for parameter in copied.parameters():
                    parameter.abs_()
            weights = scored_weights(copied)
            found = gradients(copied.step(one_of_ones(batch.inputs))[0].sum(), weights)
            flow = math.fsum(float((w.detach() * g).abs().sum()) for w, g in zip(weights, found, strict=True))
        if not math.isfinite(flow):
            raise ProxyError(f"the flow of {type(network).__name__} is {flow}: too deep or too wide for float64")
        return math.log(flow) if flow > 0 else -math.inf

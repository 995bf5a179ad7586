"""How much the weights keep the gradient flowing.  Wang et al., ICLR 2020, arXiv:2002.07376."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.autograd.function import BackwardCFunction

from nasp_core.errors import ProxyError
from nasp_core.network import Loss, Network
from nasp_core.proxies.probing import apart, autograd_graph, gradients, lowest, scored_weights
from nasp_core.proxies.synflow import ZERO_COST
from nasp_core.strategy import Paper
from nasp_core.types import Batch

__all__ = ["Grasp"]

PAPER = Paper(
    title="Picking Winning Tickets Before Training by Preserving Gradient Flow",
    authors="Chaoqi Wang, Guodong Zhang, Roger Grosse",
    venue="International Conference on Learning Representations",
    year=2020,
    arxiv="2002.07376",
)


@dataclass(frozen=True)
class Grasp:
    """Score a network by sum -(H g) w: by how much removing each weight would lower the squared gradient (eq. 8).

    H is the loss's Hessian in the weights and g its gradient; H g is exact, from differentiating g . stop(g).
    Batch norms take the batch's own statistics. The weights are those of `scored_weights`.
    Departs from the paper: summed over the network, as Abdelfattah et al. (2021) use it; one batch, temperature 1.
    Fails when: a part of the network has a hand-written gradient that cannot be differentiated again (`ProxyError`):
    the interaction spaces have one.
    """

    name: ClassVar[str] = "grasp"
    papers: ClassVar[tuple[Paper, ...]] = (PAPER, ZERO_COST)

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Return the sum of -(H g) w."""
        with apart(network) as copied:
            weights = scored_weights(copied)
            value = copied.training_loss(batch, None, loss).loss
            if any(isinstance(node, BackwardCFunction) for node in autograd_graph(value)):
                raise ProxyError(
                    f"{type(network).__name__} has hand-written gradients that cannot be differentiated again, so its "
                    "Hessian is out of reach; use a score of first gradients: grad-norm, snip, ntk"
                )
            found = gradients(value, weights, twice=True)
            product = gradients(torch.stack([(g.detach() * g).sum() for g in found]).sum(), weights)
            return lowest(-sum(float((w.detach() * h).sum()) for w, h in zip(weights, product, strict=True)))

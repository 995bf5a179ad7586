"""How sensitive an untrained supernet is to each candidate.  Zhang et al. 2021 (FreeDARTS), arXiv:2106.11542."""

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.errors import ProxyError
from nasp_core.network import Loss, Network, Space
from nasp_core.proxies.probing import NormsOff, apart, gradients, one_of_ones
from nasp_core.strategy import Paper
from nasp_core.types import Active, Batch, Mixture

__all__ = ["FreeDarts", "saliency", "summed"]

PAPER = Paper(
    title="Connection Sensitivity Matters for Training-free DARTS: From Architecture-Level Scoring to Operation-Level "
    "Sensitivity Analysis",
    authors="Miao Zhang, Wei Huang, Li Wang",
    venue="arXiv preprint",
    year=2021,
    arxiv="2106.11542",
)


def saliency(
    space: Space, batch: Batch, loss: Loss | None = None, alpha: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return |a dR/da| of every candidate of an untrained supernet, float64 by group `[choices, candidates]`.

    Without `loss`, R is data-agnostic as in `synflow`: the summed output for an input of ones, under absolute weights,
    without batch norms and dropout. The space is left as it was; a dense mixture of all candidates runs once, forward
    and backward.

    Args:
        space: The supernet.
        batch: Gives the shape of the input without `loss` (ids are taken as they are).
        loss: With it R is the loss of the batch, batch norms taking the batch's own statistics.
        alpha: Weights of the mixture, `[choices, candidates]` a group; None: alike in each choice. 0 takes a candidate
            out.
    """
    given = alpha or {group.name: torch.full(group.shape, 1.0 / len(group.candidates)) for group in space.groups}
    dtype = torch.float64 if loss is None else None
    with apart(space, dtype) as copied, NormsOff() if loss is None else nullcontext():
        floats = next(copied.parameters())
        weights = {
            name: value.detach().to(device=floats.device, dtype=floats.dtype, copy=True).requires_grad_(True)
            for name, value in given.items()
        }
        mixture = Mixture(weights=weights)
        if loss is None:
            copied.eval()
            with torch.no_grad():
                for parameter in copied.parameters():
                    parameter.abs_()
            value = copied.step(one_of_ones(batch.inputs), mixture)[0].sum()
        else:
            value = copied.training_loss(batch, mixture, loss).loss
        found = gradients(value, list(weights.values()))
        return {
            name: (weight.detach() * gradient).abs().double().cpu()
            for (name, weight), gradient in zip(weights.items(), found, strict=True)
        }


def summed(salient: Mapping[str, Tensor], active: Active) -> float:
    """Return the sum of the saliencies of a point's live candidates.

    Args:
        salient: What `saliency` returned.
        active: The live candidates of the point.
    """
    return math.fsum(
        float(salient[name][choice, pick])
        for name, picks in active.items()
        for choice, pick in enumerate(picks)
        if pick >= 0
    )


@dataclass(frozen=True)
class FreeDarts:
    """Score a point by the sum of |a dR/da| over its candidates, in the untrained supernet with equal weights.

    See `saliency`; R is data-agnostic. It judges candidates within a supernet, so a plain network has no such score:
    `proxy_score` and the selection `ByProxy` give it the supernet.
    Departs from the paper: it prunes candidate by candidate, asking anew each time; a sum over a point does not.
    Fails when: asked about a plain network (`ProxyError`).
    """

    name: ClassVar[str] = "freedarts"
    papers: ClassVar[tuple[Paper, ...]] = (PAPER,)

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Raise `ProxyError`: a plain network has no alpha."""
        raise ProxyError(
            f"freedarts judges the candidates of a supernet, and {type(network).__name__} has none; "
            "use nasp_core.proxies.proxy_score(score, space, active, ...), which gives it the supernet"
        )

    def score_active(self, space: Space, active: Active, batch: Batch, loss: Loss) -> float:
        """Return the score of a point of a freshly drawn supernet."""
        return summed(saliency(space, batch), active)

"""How alike the output's gradients are at the samples of a batch.  Mellor et al. 2020, arXiv:2006.04647v1."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.errors import ProxyError
from nasp_core.network import Loss, Network
from nasp_core.proxies.naswot import PAPER
from nasp_core.proxies.probing import apart, continuous_inputs, gradients
from nasp_core.proxies.synflow import ZERO_COST
from nasp_core.strategy import Paper
from nasp_core.types import Batch

__all__ = ["JacobCov", "correlation_score"]


def correlation_score(jacobian: Tensor, offset: float) -> float:
    """Return -sum_i (log(v_i + k) + 1 / (v_i + k)) of the eigenvalues v of the rows' correlations; k is `offset`.

    Up to a constant this is minus twice the Kullback-Leibler divergence of an uncorrelated Gaussian from one with
    these correlations. `jacobian` float `[batch, inputs]`; -inf where a row does not vary.
    """
    rows = jacobian.double()
    centred = rows - rows.mean(1, keepdim=True)
    norms = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    if not bool((norms > 0).all()) or not bool(norms.isfinite().all()):
        return -math.inf
    unit = centred / norms
    shifted = torch.linalg.eigvalsh(unit @ unit.T).clamp_min(0.0) + offset
    return float(-(shifted.log() + 1 / shifted).sum())


@dataclass(frozen=True)
class JacobCov:
    """Score a network by how little the gradients of its summed output at different samples are correlated.

    Row n of the Jacobian is the gradient in sample n of the sum of all outputs; see `correlation_score` for what
    becomes of it. Batch norms take the batch's own statistics, so that a row feels the other samples, as in the
    published code.
    - `offset`: keeps eigenvalues off 0 (the published 1e-5).

    Departs from the paper: none known.
    Fails when: the inputs are ids, which have no gradient, or the batch has one sample (`ProxyError`); no path leads
    from the input to the output: -inf.
    """

    offset: float = 1e-5
    name: ClassVar[str] = "jacob-cov"
    papers: ClassVar[tuple[Paper, ...]] = (PAPER, ZERO_COST)

    def __post_init__(self) -> None:
        """Check the settings; raises `ProxyError` for an offset that is not above 0."""
        if self.offset <= 0:
            raise ProxyError(f"JacobCov(offset={self.offset}): it must be above 0")

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Return the score of the correlations; see `correlation_score`."""
        inputs = continuous_inputs(batch, "ids have no gradient")
        if len(inputs) < 2:
            raise ProxyError("a batch of one sample has no correlations; give two or more")
        with apart(network) as copied:
            seen = inputs.detach().clone().requires_grad_(True)
            (jacobian,) = gradients(copied(seen).sum(), [seen])
        return correlation_score(jacobian.flatten(1), self.offset)

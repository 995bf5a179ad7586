"""How differently the ReLUs of a network see the pictures of a batch.  Mellor et al., ICML 2021, arXiv:2006.04647."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Loss, Network
from nasp_core.proxies.probing import Codes, apart, relu_codes
from nasp_core.strategy import Paper
from nasp_core.types import Batch

__all__ = ["Naswot", "hamming_kernel"]

PAPER = Paper(
    title="Neural Architecture Search without Training",
    authors="Joseph Mellor, Jack Turner, Amos Storkey, Elliot J. Crowley",
    venue="International Conference on Machine Learning",
    year=2021,
    arxiv="2006.04647",
)


def hamming_kernel(codes: list[Codes]) -> Tensor:
    """Return K_H float64 `[batch, batch]`: of how many units two samples agree, N - Hamming distance (eq. 2)."""
    total = torch.zeros(())
    for code, layers in codes:
        signs = code.float() * 2 - 1
        total = total + layers * ((code.shape[1] + signs @ signs.T) / 2).double()
    return total


@dataclass(frozen=True)
class Naswot:
    """Score a network by log |K_H|, K_H = sum over ReLU layers of the number of units on which two samples agree.

    A network whose units split the samples differently can tell them apart once trained. Batch norms take the batch's
    own statistics. Larger batches give larger scores: compare networks on one batch.
    Departs from the paper: where one rectified tensor feeds several convolutions, it counts once for each, as the
    published networks rectify anew before each; ReLUs that the output does not depend on do not count, as there.
    Fails when: the network has no ReLU (`ProxyError`); two samples of one code, or no path: -inf.
    """

    name: ClassVar[str] = "naswot"
    papers: ClassVar[tuple[Paper, ...]] = (PAPER,)

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Return log |K_H| in nats."""
        with apart(network) as copied:
            kernel = hamming_kernel(relu_codes(copied, batch.inputs, batch))
        if torch.linalg.matrix_rank(kernel, hermitian=True) < len(kernel):
            return -math.inf
        return float(torch.linalg.slogdet(kernel).logabsdet)

"""Into how many linear pieces a network cuts its inputs.  Chen, Gong and Wang, ICLR 2021 (TE-NAS), arXiv:2102.11535."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.errors import ScoreError
from nasp_core.network import Loss, Network
from nasp_core.scores.naswot import hamming_kernel
from nasp_core.scores.ntk import TE_NAS
from nasp_core.scores.probing import apart, continuous_inputs, relu_codes
from nasp_core.strategy import Paper
from nasp_core.types import Batch

__all__ = ["LinearRegions"]


@dataclass(frozen=True)
class LinearRegions:
    """Score a network by the number of linear regions that a batch meets: distinct codes of all its ReLUs (eq. 6).

    Within one region no ReLU switches, and the network is linear. Whole pictures nearly always fall into a region each,
    so pictures are cut down to their middle, and inputs between the samples are asked too.
    - `side`: pictures `[batch, channels, height, width]` are cut to this height and width; 0 keeps them whole.
    - `between`: inputs added, evenly spaced, on the segment from each sample to the next.

    Batch norms take the statistics of all these inputs.
    Departs from the paper: inputs on segments between samples in place of more samples; the network is not made
    thinner, so that there are more regions.
    Fails when: the network has no ReLU, or its inputs are ids (`ScoreError`); every input has a region of its own, and
    all networks score alike: take fewer pixels or more inputs.
    """

    side: int = 3
    between: int = 15
    name: ClassVar[str] = "linear-regions"
    papers: ClassVar[tuple[Paper, ...]] = (TE_NAS,)

    def __post_init__(self) -> None:
        """Refuse negative settings."""
        if self.side < 0 or self.between < 0:
            raise ScoreError(f"LinearRegions(side={self.side}, between={self.between}): neither may be negative")

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Return the number of distinct codes."""
        inputs = self._inputs(continuous_inputs(batch, "no straight line leads from one to another"))
        with apart(network) as copied:
            kernel = hamming_kernel(relu_codes(copied, inputs, batch._replace(inputs=inputs)))
        same = kernel == kernel.diagonal()  # they agree on all units
        return float(len(kernel) - int(same.tril(-1).any(1).sum()))

    def _inputs(self, samples: Tensor) -> Tensor:
        """Return the samples, cut down, with the inputs between each and the next."""
        if self.side and samples.dim() == 4:
            top, left = ((size - min(size, self.side)) // 2 for size in samples.shape[2:])
            samples = samples[:, :, top : top + self.side, left : left + self.side]
        if not self.between or len(samples) < 2:
            return samples
        shares = torch.arange(self.between + 1, device=samples.device, dtype=samples.dtype) / (self.between + 1)
        shares = shares.view(-1, *[1] * (samples.dim() - 1))
        pieces = [torch.lerp(one, two, shares) for one, two in pairwise(samples)]
        return torch.cat([*pieces, samples[-1:]])

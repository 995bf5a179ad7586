"""Into how many linear pieces a network cuts its inputs.  Chen, Gong and Wang, ICLR 2021 (TE-NAS), arXiv:2102.11535."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.errors import ProxyError
from nasp_core.network import Loss, Network
from nasp_core.proxies.ntk import TE_NAS
from nasp_core.proxies.probing import apart, continuous_inputs, relu_codes
from nasp_core.strategy import Paper
from nasp_core.types import Batch

__all__ = ["LinearRegions"]


@dataclass(frozen=True)
class LinearRegions:
    """Score a network by the number of linear regions that the way through the samples of a batch meets.

    Within one region no ReLU switches, and the network is linear; where one switches, another region begins. The way
    goes straight from each sample to the next. Switches are counted from each input asked to the next: exact unless a
    unit switches twice between them. Batch norms take the statistics of all these inputs.
    - `side`: pictures `[batch, channels, height, width]` are cut to the middle of this height and width (3, as
      published); 0 keeps them whole.
    - `between`: inputs asked besides the samples, evenly spaced, on the segment from each to the next.

    Departs from the paper: it counts the distinct codes of many samples (eq. 6), and makes the network so thin that
    they do not all differ; for a network as it is nearly every input has a code of its own.
    Fails when: the network has no ReLU, or its inputs are ids (`ProxyError`).
    """

    side: int = 3
    between: int = 3
    name: ClassVar[str] = "linear-regions"
    papers: ClassVar[tuple[Paper, ...]] = (TE_NAS,)

    def __post_init__(self) -> None:
        """Check the settings; raises `ProxyError` for negative settings."""
        if self.side < 0 or self.between < 0:
            raise ProxyError(f"LinearRegions(side={self.side}, between={self.between}): neither may be negative")

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Return 1 + the number of switches."""
        inputs = self._inputs(continuous_inputs(batch, "no straight line leads from one to another"))
        with apart(network) as copied:
            codes = relu_codes(copied, inputs, batch._replace(inputs=inputs))
        return 1.0 + sum(int((code.on[1:] != code.on[:-1]).sum()) for code in codes)

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

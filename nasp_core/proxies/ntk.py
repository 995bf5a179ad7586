"""How evenly a network would learn its samples.  Chen, Gong and Wang, ICLR 2021 (TE-NAS), arXiv:2102.11535."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.errors import ProxyError
from nasp_core.network import Loss, Network
from nasp_core.proxies.probing import apart, gradients, samples_of, scored_weights
from nasp_core.strategy import Paper
from nasp_core.types import Batch

__all__ = ["TE_NAS", "Ntk", "gram"]

TE_NAS = Paper(
    title="Neural Architecture Search on ImageNet in Four GPU Hours: A Theoretically Inspired Perspective",
    authors="Wuyang Chen, Xinyu Gong, Zhangyang Wang",
    venue="International Conference on Learning Representations",
    year=2021,
    arxiv="2102.11535",
)


def gram(network: Network, batch: Batch, weights: Sequence[Tensor], samples: int) -> Tensor:
    """Return the kernel float64 `[samples, samples]`: inner products of the gradients of each one's summed output.

    Raises `ProxyError` for a batch of one sample.
    """
    inputs = batch.inputs
    if isinstance(inputs, Tensor):  # ids and words have their samples in the second place
        inputs = inputs[:samples] if inputs.is_floating_point() else inputs[:, :samples]
    outputs = samples_of(network.step(inputs)[0], batch._replace(inputs=inputs))[:samples]
    if len(outputs) < 2:
        raise ProxyError("a batch of one sample has no condition number; give two or more")
    rows = []
    for output in outputs.unbind(0):
        rows.append(torch.cat([gradient.flatten() for gradient in gradients(output.sum(), weights, keep=True)]))
    table = torch.stack(rows).double()
    return table @ table.T


@dataclass(frozen=True)
class Ntk:
    """Score a network by -log of the condition number of its neural tangent kernel (eqs. 3 and 4).

    The kernel of two samples is the inner product of the gradients, in the weights, of their summed outputs: directions
    of small eigenvalues are learnt late. Batch norms take the batch's own statistics.
    - `samples`: how many of the batch are used; the cost is one backward pass each.

    Departs from the paper: weights as the network draws them (there Kaiming's, three times) and those of
    `scored_weights` alone; the negative logarithm, so that larger is better.
    Fails when: two samples have one gradient, or there is no path: -inf; a batch of one sample (`ProxyError`).
    """

    samples: int = 16
    name: ClassVar[str] = "ntk"
    papers: ClassVar[tuple[Paper, ...]] = (TE_NAS,)

    def __post_init__(self) -> None:
        """Check the settings; raises `ProxyError` for less than two samples."""
        if self.samples < 2:
            raise ProxyError(f"Ntk(samples={self.samples}): a condition number needs 2 or more")

    def score(self, network: Network, batch: Batch, loss: Loss) -> float:
        """Return -log(largest / smallest eigenvalue)."""
        with apart(network) as copied:
            kernel = gram(copied, batch, scored_weights(copied), self.samples)
        if not bool(kernel.isfinite().all()):
            return -math.inf
        values = torch.linalg.eigvalsh(kernel)
        least, most = float(values[0]), float(values[-1])
        rounding = most * len(kernel) * torch.finfo(torch.float64).eps
        return math.log(least / most) if least > rounding else -math.inf

"""What a network costs: parameters and multiply-adds."""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from nasp_core.network import Network

__all__ = ["multiply_adds", "parameters"]


def parameters(network: Network) -> int:
    """Return the number of parameters that serve: an auxiliary head, which only training uses, is left out."""
    return sum(p.numel() for name, p in network.named_parameters() if not name.startswith("auxiliary"))


def multiply_adds(network: Network, example: Tensor, per: int = 1) -> int:
    """Return the multiply-adds of convolutions and matrix products for one answer (a picture, a word).

    `example` is one input that asks for `per` answers; half of torch's floating-point operation count.
    """
    training = network.training
    counter = FlopCounterMode(display=False)
    network.eval()
    try:
        with torch.no_grad(), counter:
            network(example)
    finally:
        network.train(training)
    return int(counter.get_total_flops()) // (2 * per)

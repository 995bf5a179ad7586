"""The noise that relaxations draw."""

import torch
from torch import Tensor

from nasp_core.types import Alpha

__all__ = ["displaced", "gumbel_like"]


def gumbel_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard Gumbel noise in the shape, and on the device, of a tensor."""
    uniform = torch.rand(tensor.shape, generator=generator).clamp_(1e-20, 1.0 - 1e-7)
    return -(-uniform.log()).log().to(tensor.device)


def displaced(alpha: Alpha, scale: dict[str, torch.Tensor | float], generator: torch.Generator) -> Alpha:
    """Return the groups of alpha plus scale * standard normal noise."""
    noise = {name: torch.randn(alpha[name].shape, generator=generator).to(alpha[name].device) for name in scale}
    return {name: alpha[name] + scale[name] * noise[name] for name in scale}

"""SIF's element-wise networks: one tiny network a side, applied to every entry of an embedding."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Elementwise"]


class _TanhNet(torch.autograd.Function):
    """y = w2 . tanh(w1 x + b1) + b2 entry by entry, with one hand-written backward for all sides.

    Laid out `[side, hidden, entries]`, so that every pass runs along memory; two thirds of autograd's time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        flat = x.reshape(x.shape[0], 1, -1)
        hidden = torch.addcmul(b1.unsqueeze(-1), w1.unsqueeze(-1), flat).tanh_()
        ctx.save_for_backward(flat, w1, w2, hidden)
        return torch.baddbmm(b2.view(-1, 1, 1), w2.unsqueeze(1), hidden).view(x.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        flat, w1, w2, hidden = ctx.saved_tensors
        (grad,) = grads
        outer = grad.reshape(flat.shape)
        slope = torch.ops.aten.tanh_backward(outer.expand_as(hidden), hidden)  # g (1 - tanh^2)
        need = ctx.needs_input_grad
        dx = torch.bmm((w1 * w2).unsqueeze(1), slope).view(grad.shape) if need[0] else None
        if not any(need[1:]):
            return dx, None, None, None, None
        dw1 = w2 * torch.bmm(slope, flat.transpose(1, 2)).squeeze(-1)
        db1 = w2 * slope.sum(-1)
        dw2 = torch.bmm(hidden, outer.transpose(1, 2)).squeeze(-1)
        return dx, dw1, db1, dw2, outer.sum((1, 2))


class Elementwise(nn.Module):
    """Apply a 1-`hidden`-1 tanh network to each entry, one network a side (Yao et al. 2020b, section 3.2).

    Shapes: input and output float `[sides, ..., dim]`. With `residual`, the network's output is added to its
    input, so that it starts near the identity.
    """

    def __init__(self, sides: int, hidden: int = 8, *, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        self.w1 = nn.Parameter(torch.zeros(sides, hidden))
        self.b1 = nn.Parameter(torch.zeros(sides, hidden))
        self.w2 = nn.Parameter(torch.zeros(sides, hidden))
        self.b2 = nn.Parameter(torch.zeros(sides))

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw the networks as torch draws linear layers: uniform within 1 / sqrt(fan-in)."""
        bound = 1.0 / math.sqrt(self.w1.shape[1])
        for parameter, limit in ((self.w1, 1.0), (self.b1, 1.0), (self.w2, bound), (self.b2, bound)):
            parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2 - 1) * limit)

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed entries, in the shape of `x`."""
        out: Tensor = _TanhNet.apply(x, self.w1, self.b1, self.w2, self.b2)  # type: ignore[no-untyped-call]
        return x + out if self.residual else out

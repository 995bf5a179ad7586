"""What is applied to every entry of a vector: fixed functions, and SIF's networks, one tiny network a side."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["FIXED", "ONE_SIGNED", "Elementwise"]

FIXED: Mapping[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "tanh": torch.tanh}
"""Functions without weights, by name: the hidden layer's of AutoRec (Sedhain et al., WWW 2015, eq. 2).

They bend what a side's history is encoded to, and leave a side of ids alone, which is AutoRec's decoder."""

ONE_SIGNED = frozenset({"sigmoid"})
"""The element-wise functions that no weights negate: tanh is odd, and a network has an outer layer to turn."""

_tanh_backward = torch.ops.aten.tanh_backward.default


class _TanhNet(torch.autograd.Function):
    """y = w2 . tanh(w1 x + b1) + b2 entry by entry, with one hand-written backward for all sides.

    `inner` `[side, hidden, 2]` holds (w1, b1), `outer` `[side, 1, hidden + 1]` holds (w2, b2): with a row of ones below
    the entries both layers are one matrix product each. Laid out `[side, hidden, entries]`, so that every
    pass runs along memory.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
        flat = x.reshape(x.shape[0], 1, -1)
        affine = torch.cat([flat, torch.ones_like(flat)], 1)
        hidden = torch.bmm(inner, affine).tanh_()
        ctx.save_for_backward(affine, inner, outer, hidden)
        return torch.baddbmm(outer[:, :, -1:], outer[:, :, :-1], hidden).view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        affine, inner, outer, hidden = ctx.saved_tensors
        (grad,) = grads
        along = grad.reshape(affine.shape[0], 1, -1)
        of_hidden = _tanh_backward(along.expand_as(hidden), hidden)  # g (1 - tanh^2)
        need_x, need_inner, need_outer = ctx.needs_input_grad
        weights = outer[:, :, :-1]
        dx = d_inner = d_outer = None
        if need_x:
            dx = torch.bmm(weights * inner[:, :, 0].unsqueeze(1), of_hidden).view(grad.shape)
        if need_inner:
            d_inner = weights.transpose(1, 2) * torch.bmm(of_hidden, affine.transpose(1, 2))
        if need_outer:
            d_outer = torch.cat([torch.bmm(along, hidden.transpose(1, 2)), along.sum(2, keepdim=True)], 2)
        return dx, d_inner, d_outer


class Elementwise(nn.Module):
    """Apply a 1-`hidden`-1 tanh network to each entry, one network a side (Yao et al. 2020b, section 3.2).

    Shapes: input and output float `[sides, ..., dim]`; `inner` `[sides, hidden, 2]` holds the first layer's weights and
    biases, `outer` `[sides, 1, hidden + 1]` the second's. With `residual`, the network's output is added to its
    input, so that it starts near the identity.
    """

    def __init__(self, sides: int, hidden: int = 8, *, residual: bool = False) -> None:
        super().__init__()
        self.residual = residual
        self.inner = nn.Parameter(torch.zeros(sides, hidden, 2))
        self.outer = nn.Parameter(torch.zeros(sides, 1, hidden + 1))

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw the networks as torch draws linear layers: uniform within 1 / sqrt(fan-in)."""
        bound = 1.0 / math.sqrt(self.inner.shape[1])
        for parameter, limit in ((self.inner, 1.0), (self.outer, bound)):
            parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2 - 1) * limit)

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed entries, in the shape of `x`."""
        out: Tensor = _TanhNet.apply(x, self.inner, self.outer)  # type: ignore[no-untyped-call]
        return x + out if self.residual else out

"""The element-wise network on many rows: in blocks that fit the cache, with nothing kept for the way back."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sif.encodings.elementwise import Elementwise

__all__ = ["entrywise", "start_near_identity"]

_ENTRIES = 1 << 14  # of a block on a CPU; each has as many hidden values as the network has units
_ENTRIES_CUDA = 1 << 22
_WHOLE = 1 << 16  # so few entries fit the cache with all their hidden values: those are kept


@torch.no_grad()
def start_near_identity(network: Elementwise, generator: torch.Generator) -> None:
    """Draw a one-sided network that rises, with p(0) = 0 and derivative 1 there.

    Drawn as linear layers are, networks differ by a constant larger than small embeddings: of a maximum or minimum one
    side would then win every entry, and the other would never learn.
    """
    units = network.inner.shape[1]
    drawn = torch.rand(3, units, generator=generator, device="cpu").to(network.inner) - 0.5
    inward, shift, outward = 1.0 + drawn[0], drawn[1] * 2.0, 1.0 + drawn[2]
    outward = outward / (outward * inward * (1.0 - shift.tanh().square())).sum()
    network.inner.copy_(torch.stack([inward, shift], 1))
    network.outer.copy_(torch.cat([outward, -(outward @ shift.tanh()).view(1)]))


def _blocks(flat: Tensor) -> list[tuple[int, int]]:
    step = _ENTRIES_CUDA if flat.is_cuda else _ENTRIES
    return [(low, min(low + step, len(flat))) for low in range(0, len(flat), step)]


def _hidden(x: Tensor, inner: Tensor) -> Tensor:
    """Return tanh(w1 x + b1), `[units, entries]`; with a row of ones below x this is one matrix product."""
    return (inner @ torch.stack([x, torch.ones_like(x)])).tanh_()


class _Entrywise(torch.autograd.Function):
    """y = w2 . tanh(w1 x + b1) + b2 for each entry; the backward pass makes the hidden values again.

    With T = tanh and s = 1 - T^2: dx = g (w2 w1) . s; dw2 = T g; dw1 = w2 s (g x); db1 = w2 s g. The sums over s are
    written as sums over 1 less sums over T^2, so that one matrix product makes each.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
        ctx.save_for_backward(x, inner, outer)
        flat, out = x.reshape(-1), torch.empty_like(x, memory_format=torch.contiguous_format)
        y = out.view(-1)
        for low, high in _blocks(flat):
            torch.addmv(outer[-1], _hidden(flat[low:high], inner).T, outer[:-1], out=y[low:high])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, inner, outer = ctx.saved_tensors
        flat, along = x.reshape(-1), grads[0].reshape(-1)
        of_x = torch.empty_like(flat)
        weights = outer[:-1]
        factors = weights * inner[:, 0]
        of_outer, sums = torch.zeros_like(outer), torch.zeros_like(inner)
        for low, high in _blocks(flat):
            part, grad = flat[low:high], along[low:high]
            hidden = _hidden(part, inner)
            of_outer[:-1] += hidden @ grad
            squares = hidden.square_()
            pair = torch.stack([grad * part, grad])
            sums += pair.sum(1) - squares @ pair.T
            torch.mul(grad, factors.sum() - squares.T @ factors, out=of_x[low:high])
        of_outer[-1] = along.sum()
        return of_x.view(x.shape), weights.unsqueeze(1) * sums, of_outer


def entrywise(network: Elementwise, rows: Tensor) -> Tensor:
    """Return a one-sided network's output for every entry of `rows`, in their shape; memory holds one block."""
    if rows.numel() <= _WHOLE and not rows.is_cuda:
        whole: Tensor = network(rows.unsqueeze(0))
        return whole.squeeze(0)
    out: Tensor = _Entrywise.apply(rows, network.inner[0], network.outer[0, 0])  # type: ignore[no-untyped-call]
    return out

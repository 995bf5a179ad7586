"""The mixed operation, with the two rules that make a proximal search fast.

1. In the weight step only the live candidate of a choice runs, forward and backward.
2. In the architecture step at a one-hot point, the slope of the loss in the weight of candidate k is the
   inner product of the loss's gradient in the choice's output with that candidate's output:
   dL/dalpha_k = <dL/dout, op_k(x)>. So the dead candidates run without a graph, when that gradient
   arrives, and their outputs are thrown away. The numbers are those of the dense mixture; the memory is
   that of a single path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["mix"]

Candidate = Callable[..., Tensor]


class _Probe(torch.autograd.Function):
    """Identity on `out`; where its gradient arrives, `slopes(gradient)` becomes the gradient of `weights`."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, weights: Tensor, slopes: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.slopes = slopes
        return out.view_as(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None]:
        (grad,) = grads
        return grad, ctx.slopes(grad) if ctx.needs_input_grad[1] else None, None


def mix(candidates: Sequence[Candidate], active: int | None, weights: Tensor | None, *inputs: Tensor) -> Tensor:
    """Return the output of one choice.

    Shapes: `weights` `[candidates]` or None; every candidate maps `inputs` to a tensor of one shape.
    With `active` alone, only that candidate is called. With `weights` alone, all are called and summed.
    With both, the output is the live candidate's and the others are called once, without a graph, during
    the backward pass (at a one-hot point, where the two agree).
    """
    if weights is None:
        if active is None:
            raise ValueError("a mixture needs live candidates, weights, or both")
        return candidates[_live(active)](*inputs)
    if active is None:
        total = candidates[0](*inputs) * weights[0]
        for index in range(1, len(candidates)):
            total = total + candidates[index](*inputs) * weights[index]
        return total
    out = candidates[_live(active)](*inputs)
    if not weights.requires_grad:
        return out
    detached, frozen = out.detach(), [x.detach() for x in inputs]

    def slopes(grad: Tensor) -> Tensor:
        with torch.no_grad():
            flat = grad.reshape(-1)
            return torch.stack(
                [
                    torch.dot(flat, (detached if index == active else candidate(*frozen)).reshape(-1))
                    for index, candidate in enumerate(candidates)
                ]
            )

    probed: Tensor = _Probe.apply(out, weights, slopes)  # type: ignore[no-untyped-call]
    return probed


def _live(active: int) -> int:
    if active < 0:
        raise ValueError("a dropped choice has no live candidate: leave it out of the sum instead of mixing it")
    return active

"""The mixed operation, with the two rules that make a proximal search fast.

1. In the weight step only the live candidate of a choice runs, forward and backward.
2. In the architecture step at a one-hot point, the gradient of the loss in the weight of candidate k is the
   inner product of the loss's gradient in the choice's output with that candidate's output:
   dL/dalpha_k = <dL/dout, op_k(x)>. So the dead candidates run without a graph, when that gradient
   arrives, and their outputs are thrown away. The numbers are those of the dense mixture; the memory is
   that of a single path.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["Branch", "Candidate", "Gradients", "mix", "mix_sum", "probe"]

Candidate = Callable[..., Tensor]
Gradients = Callable[[Tensor], Sequence[Tensor]]


class Branch(NamedTuple):
    """One choice that feeds a node: an edge of a cell.

    `active` is its live candidate (-1: dropped, None: none is singled out), `weights` float `[candidates]` or None;
    `present` are the candidates that take part in a weighted sum (None: all; see `Mixture.kept`).
    """

    candidates: Sequence[Candidate]
    active: int | None
    weights: Tensor | None
    inputs: tuple[Tensor, ...]
    present: tuple[int, ...] | None = None


class _Probe(torch.autograd.Function):
    """Identity on `out`; where its gradient arrives, `gradients(gradient)` are the gradients of `weights`."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, gradients: Gradients, *weights: Tensor) -> Tensor:
        ctx.gradients = gradients
        kind = out.device.type
        ctx.half = (kind, torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else None
        return out.view_as(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        with torch.no_grad(), nullcontext() if ctx.half is None else torch.autocast(*ctx.half):
            return grad, None, *ctx.gradients(grad)


def probe(out: Tensor, weights: Sequence[Tensor], gradients: Gradients) -> Tensor:
    """Return `out`; when its gradient arrives, `gradients(gradient)` gives one gradient for each of `weights`.

    This is the second speed rule for a place with a structure of its own; `mix` and `mix_sum` use it.
    """
    probed: Tensor = _Probe.apply(out, gradients, *weights)  # type: ignore[no-untyped-call]
    return probed


def mix(
    candidates: Sequence[Candidate],
    active: int | None,
    weights: Tensor | None,
    *inputs: Tensor,
    present: tuple[int, ...] | None = None,
) -> Tensor:
    """Return the output of one choice.

    Shapes: `weights` `[candidates]` or None; every candidate maps `inputs` to a tensor of one shape.
    With `active` alone, only that candidate is called. With `weights` alone, those `present` (None: all) are called
    and summed.
    With both, the output is the live candidate's and the others are called once, without a graph, during
    the backward pass (at a one-hot point, where the two agree).
    """
    if active is not None and active < 0:
        raise ValueError("a dropped choice has no live candidate: leave it out of the sum instead of mixing it")
    return mix_sum([Branch(candidates, active, weights, inputs, present)])


def mix_sum(branches: Sequence[Branch]) -> Tensor:
    """Return the sum of several choices: what reaches a node of a cell. A dropped one adds nothing, yet has gradients.

    All outputs have one shape; every branch is weighted or discrete as in `mix`. At a discrete point the dead
    candidates of all branches, dropped ones too, run once during the backward pass: each candidate has then been
    called once in all, as in the dense mixture, so that one with state (batch norm) ends up as it would have there.
    """
    outputs = [_output(branch) for branch in branches]
    present = [out for out in outputs if out is not None]
    if not present:
        raise ValueError("a mixture needs live candidates, weights, or both; all of these choices are dropped")
    total = present[0]
    for out in present[1:]:
        total = total + out
    probed = [i for i, b in enumerate(branches) if b.active is not None and b.weights is not None]
    probed = [i for i in probed if branches[i].weights.requires_grad]  # type: ignore[union-attr]
    if not probed:
        return total
    frozen = [
        (branches[i], None if outputs[i] is None else outputs[i].detach(), [x.detach() for x in branches[i].inputs])  # type: ignore[union-attr]
        for i in probed
    ]

    def gradients(grad: Tensor) -> list[Tensor]:
        return [_gradients(branch, live, inputs, grad) for branch, live, inputs in frozen]

    return probe(total, [branches[i].weights for i in probed], gradients)  # type: ignore[misc]


def _output(branch: Branch) -> Tensor | None:
    candidates, active, weights, inputs, present = branch
    if active is not None:
        return candidates[active](*inputs) if active >= 0 else None
    if weights is None:
        raise ValueError("a mixture needs live candidates, weights, or both")
    total: Tensor | None = None
    for index in range(len(candidates)) if present is None else present:
        out = candidates[index](*inputs) * weights[index]
        total = out if total is None else total + out
    return total


def _gradients(branch: Branch, live: Tensor | None, inputs: list[Tensor], grad: Tensor) -> Tensor:
    """Return <grad, output> of every candidate `[candidates]`, the live one's output at hand."""
    assert branch.weights is not None
    dtype = branch.weights.dtype
    products = []
    for index, candidate in enumerate(branch.candidates):
        out = live if index == branch.active and live is not None else candidate(*inputs)
        products.append((grad * out).sum(dtype=dtype))
    return torch.stack(products)

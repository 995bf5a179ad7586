"""Second derivatives of the training loss along a direction of the weights, by central differences."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nasp_core.strategy import StepContext

__all__ = ["along", "norm_of"]


class _Draws:
    """The random numbers that a loss draws, to be drawn once more: torch's global ones and the search's own."""

    def __init__(self, context: StepContext) -> None:
        self.device, self.generator = context.weights[0].device, context.generator
        self.own, self.everywhere = self.generator.get_state(), torch.get_rng_state()
        self.there = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None

    def rewind(self) -> None:
        self.generator.set_state(self.own)
        torch.set_rng_state(self.everywhere)
        if self.there is not None:
            torch.cuda.set_rng_state(self.there, self.device)


def norm_of(direction: Sequence[Tensor | None]) -> Tensor:
    """Return the Euclidean norm of a direction, a scalar, never zero."""
    total = sum((part.square().sum() for part in direction if part is not None), torch.zeros(()))
    return torch.sqrt(total).clamp_min(1e-12)


def along(
    context: StepContext, wrt: Sequence[Tensor], direction: Sequence[Tensor | None], radius: float
) -> list[Tensor | None]:
    """Return d/dt of the training loss's gradient in `wrt`, at weights w + t * direction, t = 0 (DARTS, eq. 8).

    By central differences at a distance of `radius` in weight space. `wrt` may be the weights themselves: then this is
    the Hessian's product with the direction. Both ends draw the same dropout and the same mixtures, or the difference
    would be mostly theirs. The weights end as they began.
    """
    weights = list(context.weights)
    backup = [weight.detach().clone() for weight in weights]
    step = radius / norm_of(direction)
    ends, again = [], _Draws(context)
    for shift in (step, -step):
        again.rewind()
        with torch.no_grad():
            for weight, start, gradient in zip(weights, backup, direction, strict=True):
                weight.copy_(start if gradient is None else start + shift * gradient)
        ends.append(torch.autograd.grad(context.training_loss(), list(wrt), allow_unused=True))
    with torch.no_grad():
        for weight, start in zip(weights, backup, strict=True):
            weight.copy_(start)
    plus, minus = ends
    return [None if p is None or m is None else (p - m) / (2 * step) for p, m in zip(plus, minus, strict=True)]

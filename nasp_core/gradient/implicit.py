"""The validation gradient at trained weights: the implicit function theorem, and its amendment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.gradient.curvature import along
from nasp_core.gradient.first_order import FirstOrder
from nasp_core.gradient.steps import ByAdam
from nasp_core.strategy import Gradient, StepContext
from nasp_core.types import State

__all__ = ["Amended", "Implicit"]

Vector = list[Tensor]
Product = Callable[[Vector], Vector]


def _dot(one: Vector, two: Vector) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(one, two, strict=True)]).sum()


@dataclass(frozen=True)
class Implicit(ByAdam):
    """Take the weights as trained to the end: g = dL_val/da - d2L_train/(da dw) . H^-1 . dL_val/dw.

    H is the Hessian of the training loss in the weights (Bian et al. 2019, arXiv:1910.11831, eq. 5). H^-1 v comes from
    `iterations` conjugate-gradient steps on (H + `damping`), with products by central differences of `radius`.
    Costs two passes an iteration. Where H is not positive, conjugate gradients stop there.
    """

    iterations: int = 10
    damping: float = 0.0
    radius: float = 0.01

    gives: ClassVar[frozenset[str]] = frozenset({"pathwise"})
    needs: ClassVar[dict[str, str]] = {
        "slope": "a path-wise gradient needs a mixture that alpha's gradient reaches; use relax = Softmax",
        "smooth": (
            "the implicit gradient follows how the weights move with alpha, and a one-hot choice has no slope there; "
            "use gradient = FirstOrder, or relax = Softmax"
        ),
    }

    def gradient(self, context: StepContext, tensors: list[Tensor], state: State) -> Sequence[Tensor | None]:
        """Return the implicit gradient of each tensor, in full precision."""
        with torch.autocast(tensors[0].device.type, enabled=False):
            weights = list(context.weights)
            both = torch.autograd.grad(context.validation_loss(), [*tensors, *weights], allow_unused=True)
            direct, slopes = both[: len(tensors)], both[len(tensors) :]
            v = [torch.zeros_like(w) if s is None else s for w, s in zip(weights, slopes, strict=True)]

            def product(direction: Vector) -> Vector:
                parts = along(context, weights, direction, self.radius)
                curved = [torch.zeros_like(w) if p is None else p for w, p in zip(weights, parts, strict=True)]
                return [c + self.damping * d for c, d in zip(curved, direction, strict=True)]

            mixed = along(context, tensors, self.solve(product, v), self.radius)
        return [d if m is None else -m if d is None else d - m for d, m in zip(direct, mixed, strict=True)]

    def solve(self, product: Product, v: Vector) -> Vector:
        """Return H^-1 v by conjugate gradients, given the product with H."""
        x = [torch.zeros_like(part) for part in v]
        residual, direction = [part.clone() for part in v], [part.clone() for part in v]
        size = first = _dot(residual, residual)
        for _ in range(self.iterations):
            if float(size) <= 1e-12 * float(first):
                break
            curved = product(direction)
            bend = _dot(direction, curved)
            if float(bend) <= 0:
                break
            step = size / bend
            x = [a + step * d for a, d in zip(x, direction, strict=True)]
            residual = [r - step * c for r, c in zip(residual, curved, strict=True)]
            size, before = _dot(residual, residual), size
            direction = [r + size / before * d for r, d in zip(residual, direction, strict=True)]
        return x

    def pinned(self) -> Gradient:
        """Return first order: a given point has no slope to follow."""
        return FirstOrder(self.lr, self.betas, self.weight_decay, self.continuous_lr)


@dataclass(frozen=True)
class Amended(Implicit):
    """Put `amendment` * H in place of H^-1 (Bian et al. 2019, eq. 8): two products instead of a system of equations.

    The angle between the two corrections is at most a right one, so the step is downhill in the same sense; its length
    is the amendment's to set.
    """

    amendment: float = 0.1

    def solve(self, product: Product, v: Vector) -> Vector:
        """Return `amendment` * H v."""
        return [self.amendment * part for part in product(v)]

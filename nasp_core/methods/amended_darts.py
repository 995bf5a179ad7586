"""Amended DARTS: a cheap correction of the gradient that keeps its direction.  Bi et al., 2019, arXiv:1910.11831."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.parts import Argmax, ByAdam, FirstOrder, Logits, Softmax
from nasp_core.parts.curvature import along
from nasp_core.strategy import Gradient, Paper, StepContext, Strategy
from nasp_core.types import State

__all__ = ["PAPER", "Amended", "Implicit", "Product", "Vector", "amended_darts"]

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
        "gradient": "a path-wise gradient needs a mixture that alpha's gradient reaches; use relax = Softmax",
        "smooth": (
            "the implicit gradient follows how the weights move with alpha, and a one-hot choice has no gradient; "
            "use gradient = FirstOrder, or relax = Softmax"
        ),
    }

    def gradient(self, context: StepContext, tensors: list[Tensor], state: State) -> Sequence[Tensor | None]:
        """Return the implicit gradient of each tensor, in full precision."""
        with torch.autocast(tensors[0].device.type, enabled=False):
            weights = list(context.weights)
            both = torch.autograd.grad(context.validation_loss(), [*tensors, *weights], allow_unused=True)
            direct, gradients = both[: len(tensors)], both[len(tensors) :]
            v = [torch.zeros_like(w) if s is None else s for w, s in zip(weights, gradients, strict=True)]

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
        """Return first order: a given point has no gradient to follow."""
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


PAPER = Paper(
    title="Stabilizing DARTS with Amended Gradient Estimation on Architectural Parameters",
    authors="Kaifeng Bi, Changping Hu, Lingxi Xie, Xin Chen, Longhui Wei, Qi Tian",
    venue="arXiv preprint",
    year=2019,
    arxiv="1910.11831",
)


def amended_darts(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    amendment: float = 0.1,
) -> Strategy:
    """Search with the implicit gradient, `amendment` * H in place of the inverse Hessian (equations 5 to 8).

    Parts: domain=Logits, relax=Softmax, gradient=Amended, select=Argmax.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: search and final training keep the recipe's own settings (there, they are made alike).
    Fails when: the supernet is far from trained: the correction assumes that its weights are at a minimum.
    """
    return Strategy(
        domain=Logits(),
        relax=Softmax(),
        gradient=Amended(lr=alpha_lr, betas=betas, weight_decay=weight_decay, amendment=amendment),
        select=Argmax(),
        name="amended-darts",
        papers=(PAPER,),
    )

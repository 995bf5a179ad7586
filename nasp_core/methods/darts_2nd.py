"""DARTS, second order: the gradient looks one weight step ahead.  Liu et al., ICLR 2019, arXiv:1806.09055."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nasp_core.methods.darts import PAPER
from nasp_core.parts import Argmax, ByAdam, FirstOrder, Logits, Softmax
from nasp_core.parts.curvature import along
from nasp_core.strategy import Gradient, StepContext, Strategy
from nasp_core.types import State

__all__ = ["Unrolled", "darts_2nd"]


@dataclass(frozen=True)
class Unrolled(ByAdam):
    """Differentiate the validation loss through one virtual SGD step of the weights (DARTS, eqs. 5, 7 and 8).

    w' = w - xi (momentum * buffer + dL_train/dw + weight_decay * w), xi = the weights' learning rate (or
    `virtual_lr`); gradient = dL_val(w')/dalpha - xi * d2L_train/(dalpha dw) . dL_val(w')/dw', the product by central
    finite differences at w ± e dL_val/dw' with e = `radius` / ||dL_val/dw'||.
    Costs three more passes and one more copy of the weights than first order.
    """

    virtual_lr: float | None = None
    radius: float = 0.01

    gives: ClassVar[frozenset[str]] = frozenset({"pathwise"})
    needs: ClassVar[dict[str, str]] = {
        "gradient": "a path-wise gradient needs a mixture that alpha's gradient reaches; use relax = Softmax",
        "smooth": (
            "unrolling differentiates through the weight step, and a one-hot choice has no gradient there; "
            "use gradient = FirstOrder (the paper's), or relax = Softmax"
        ),
    }

    def gradient(self, context: StepContext, tensors: list[Tensor], state: State) -> Sequence[Tensor | None]:
        """Return the unrolled gradient of each tensor.

        Always in full precision: autocast would keep its half copies of weights that this changes in place, and
        finite differences drown in half precision.
        """
        with torch.autocast(tensors[0].device.type, enabled=False):
            return self.hypergradient(context, tensors)

    def pinned(self) -> Gradient:
        """Return first order: unrolling goes along the choice's gradient, which a given point lacks."""
        return FirstOrder(self.lr, self.betas, self.weight_decay, self.continuous_lr)

    def hypergradient(self, context: StepContext, tensors: list[Tensor]) -> list[Tensor | None]:
        """Return the unrolled gradient of each tensor; the weights end as they began."""
        weights = list(context.weights)
        xi = context.learning_rate if self.virtual_lr is None else self.virtual_lr
        backup = [w.detach().clone() for w in weights]
        train = torch.autograd.grad(context.training_loss(), weights, allow_unused=True)
        with torch.no_grad():
            for weight, grad in zip(weights, train, strict=True):
                weight.sub_(xi * self._direction(context, weight, grad))
        both = torch.autograd.grad(context.validation_loss(), [*tensors, *weights], allow_unused=True)
        direct, gradients = both[: len(tensors)], both[len(tensors) :]
        with torch.no_grad():
            for weight, start in zip(weights, backup, strict=True):
                weight.copy_(start)
        combined: list[Tensor | None] = []
        for d, mixed in zip(direct, along(context, tensors, gradients, self.radius), strict=True):
            terms = [t for t in (d, None if mixed is None else -xi * mixed) if t is not None]
            combined.append(sum(terms[1:], terms[0]) if terms else None)
        return combined

    @staticmethod
    def _direction(context: StepContext, weight: nn.Parameter, grad: Tensor | None) -> Tensor:
        """Return what one step of the weight optimiser's SGD would subtract, per unit of learning rate."""
        direction = torch.zeros_like(weight) if grad is None else grad
        if context.optimiser.weight_decay:
            direction = direction + context.optimiser.weight_decay * weight
        buffer = context.weight_state.state.get(weight, {}).get("momentum_buffer")
        return direction if buffer is None else direction + context.optimiser.momentum * buffer


def darts_2nd(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    virtual_lr: float | None = None,
) -> Strategy:
    """Search with the unrolled gradient on a softmax mixture (equations 7 and 8).

    Parts: domain=Logits, relax=Softmax, gradient=Unrolled, select=Argmax.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the virtual step is plain SGD whatever the weight optimiser (as the published
    interaction search does); momentum is used where the optimiser has it.
    Fails when: as `darts`; and costs four passes a step more.
    """
    return Strategy(
        domain=Logits(),
        relax=Softmax(),
        gradient=Unrolled(lr=alpha_lr, betas=betas, weight_decay=weight_decay, virtual_lr=virtual_lr),
        select=Argmax(),
        name="darts-2nd",
        papers=(PAPER,),
    )

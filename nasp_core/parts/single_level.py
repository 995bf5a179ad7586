"""The training gradient: alpha and weights learn from the same data."""

from dataclasses import dataclass

from torch import Tensor

from nasp_core.parts.first_order import FirstOrder
from nasp_core.strategy import Gradient, StepContext

__all__ = ["SingleLevel"]


@dataclass(frozen=True)
class SingleLevel(FirstOrder):
    """Follow the gradient of the training loss in alpha, with Adam (SNAS, Xie et al. 2019, section 2.2).

    What the schedules add to the loss is added; the weights' own penalty is not alpha's. Alpha is stepped on the batch
    that the weights are trained on next. No validation data is used, so nothing holds a large architecture back.
    """

    def loss(self, context: StepContext) -> Tensor:
        """Return the training loss, with the schedules' penalty."""
        total: Tensor | None = None
        mixtures = context.drawn()
        for mixture in mixtures:
            loss = context.train_step(mixture).loss
            penalty = context.penalty(mixture)
            loss = loss if penalty is None else loss + penalty
            total = loss if total is None else total + loss
        assert total is not None
        return total / len(mixtures)

    def pinned(self) -> Gradient:
        """Return the validation gradient: a point's continuous parameters are no weights."""
        return FirstOrder(self.lr, self.betas, self.weight_decay, self.continuous_lr)

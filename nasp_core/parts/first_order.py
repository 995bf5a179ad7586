"""The validation gradient at the present weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.parts.by_adam import NEEDS_GRADIENT, ByAdam
from nasp_core.strategy import StepContext, frozen
from nasp_core.types import State

__all__ = ["FirstOrder"]


@dataclass(frozen=True)
class FirstOrder(ByAdam):
    """Follow the gradient of the validation loss in alpha, weights held fixed, with Adam.

    NASP takes it at the one-hot point (Yao et al. 2020, alg. 2, step 3), DARTS at the dense mixture with
    xi = 0 (Liu et al. 2019, eq. 6). The continuous architecture parameters learn with `continuous_lr`
    (None: the same rate).
    """

    gives: ClassVar[frozenset[str]] = frozenset({"pathwise"})
    needs: ClassVar[dict[str, str]] = {"gradient|pinned": NEEDS_GRADIENT}

    def gradient(self, context: StepContext, tensors: list[Tensor], state: State) -> Sequence[Tensor | None]:
        """Return the gradient of the loss, weights held fixed."""
        with frozen(context.weights):
            return torch.autograd.grad(self.loss(context), tensors, allow_unused=True)

    def loss(self, context: StepContext) -> Tensor:
        """Return the validation loss."""
        return context.validation_loss()

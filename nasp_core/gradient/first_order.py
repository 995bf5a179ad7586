"""The validation gradient at the present weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Network
from nasp_core.strategy import Gradient, StepContext, frozen
from nasp_core.types import Alpha, State

__all__ = ["FirstOrder", "architecture_tensors", "step_architecture"]


def architecture_tensors(alpha: Alpha, space: Network) -> list[Tensor]:
    """Return alpha and the space's continuous architecture parameters, in a fixed order."""
    return [*alpha.values(), *space.continuous()]


def step_architecture(tensors: Sequence[Tensor], grads: Sequence[Tensor | None], adam: torch.optim.Optimizer) -> None:
    """Take one Adam step on the architecture with the given gradients."""
    for tensor, grad in zip(tensors, grads, strict=True):
        tensor.grad = grad
    adam.step()


@dataclass(frozen=True)
class FirstOrder(Gradient):
    """Follow the gradient of the validation loss in alpha, weights held fixed, with Adam.

    NASP takes it at the one-hot point (Yao et al. 2020, alg. 2, step 3), DARTS at the dense mixture with
    xi = 0 (Liu et al. 2019, eq. 6). The continuous architecture parameters learn with `continuous_lr`
    (None: the same rate).
    """

    lr: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    continuous_lr: float | None = None

    needs: ClassVar[dict[str, str]] = {
        "slope|pinned": (
            "a path-wise gradient needs a mixture that alpha's gradient reaches; use relax = OneHot or Softmax"
        )
    }

    def init(self, alpha: Alpha, space: Network) -> State:
        """Return the state: one Adam over alpha and the continuous parameters."""
        groups: list[dict[str, object]] = []
        if alpha:
            groups.append({"params": list(alpha.values()), "lr": self.lr, "weight_decay": self.weight_decay})
        if space.continuous():
            groups.append(
                {"params": space.continuous(), "lr": self.lr if self.continuous_lr is None else self.continuous_lr}
            )
        return {"adam": torch.optim.Adam(groups, lr=self.lr, betas=self.betas, fused=True)} if groups else {}

    def step(self, context: StepContext, state: State) -> None:
        """Step alpha and the continuous parameters along the validation gradient."""
        tensors = architecture_tensors(context.alpha, context.space)
        with frozen(context.weights):
            grads = torch.autograd.grad(context.validation_loss(), tensors, allow_unused=True)
        step_architecture(tensors, grads, state["adam"])

"""How weights are trained: frozen settings that make a torch optimiser and its learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from nasp_core.errors import SearchError

__all__ = ["Optimiser", "Training"]


@dataclass(frozen=True, slots=True)
class Optimiser:
    """A weight optimiser: `kind`, its rates, the gradient clip and the schedule of the learning rate.

    - `clip`: largest total gradient norm; None for no clipping.
    - `schedule`: `constant`, or `cosine` from `learning_rate` down to `final_learning_rate` at the last step.
    """

    kind: Literal["adagrad", "adam", "sgd"] = "adagrad"
    learning_rate: float = 0.05
    momentum: float = 0.0
    weight_decay: float = 0.0
    clip: float | None = None
    schedule: Literal["constant", "cosine"] = "constant"
    final_learning_rate: float = 0.0

    def create(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return a fused torch optimiser over `parameters`."""
        common = {"lr": self.learning_rate, "weight_decay": self.weight_decay}
        if self.kind == "sgd":
            return torch.optim.SGD(parameters, momentum=self.momentum, fused=True, **common)
        if self.kind == "adam":
            return torch.optim.Adam(parameters, fused=True, **common)
        tensors = list(parameters)
        on_cpu = all(p.device.type == "cpu" for p in tensors)  # torch has no fused Adagrad on CUDA
        return torch.optim.Adagrad(tensors, fused=on_cpu, **common)

    def rate(self, progress: float) -> float:
        """Return the learning rate at `progress` in [0, 1] of the training."""
        if self.schedule == "constant":
            return self.learning_rate
        span = self.learning_rate - self.final_learning_rate
        return self.final_learning_rate + span * 0.5 * (1.0 + math.cos(math.pi * progress))

    def apply(self, optimiser: torch.optim.Optimizer, weights: list[nn.Parameter], grads: tuple[Tensor, ...]) -> None:
        """Take one step with `grads`, clipped; a weight whose gradient is None is left untouched.

        Untouched means no momentum and no weight decay either: the weights of a dead candidate stay as they are.
        """
        for weight, grad in zip(weights, grads, strict=True):
            weight.grad = grad
        if self.clip is not None:
            nn.utils.clip_grad_norm_(weights, self.clip)
        optimiser.step()


@dataclass(frozen=True, slots=True)
class Training:
    """How long and with what a network is trained.

    - `epochs`: passes over the training split, at most.
    - `evaluate_every`: epochs between two validations; 0 validates only at the end.
    - `patience`: stop after this many validations without a new best; None never stops early.
    - `keep_best`: end with the weights of the best validation instead of the last.
    """

    epochs: int = 20
    batch_size: int = 512
    optimiser: Optimiser = Optimiser()
    evaluate_every: int = 1
    patience: int | None = None
    keep_best: bool = False

    def __post_init__(self) -> None:
        """Refuse an empty budget."""
        if self.epochs < 1 or self.batch_size < 1:
            raise SearchError(
                f"a training of {self.epochs} epochs with batches of {self.batch_size} trains nothing; both must be >= 1"
            )
        if (self.keep_best or self.patience is not None) and self.evaluate_every < 1:
            raise SearchError("keep_best and patience need validations: set evaluate_every to 1 or more")

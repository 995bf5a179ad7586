"""Gradients by which alpha moves by a rule of its own, and the continuous parameters with Adam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts.by_adam import step_architecture
from nasp_core.strategy import Gradient, StepContext, frozen
from nasp_core.types import Alpha, Mixture, State

__all__ = ["ByRule"]


@dataclass(frozen=True)
class ByRule(Gradient):
    """Alpha moves by a rule of its own (`move`); the continuous parameters by Adam along the validation gradient."""

    continuous_lr: float = 3e-4

    gives: ClassVar[frozenset[str]] = frozenset({"rule"})

    def init(self, alpha: Alpha, space: Space) -> State:
        """Return the state: Adam over the continuous parameters, where there are any, and what the rule remembers."""
        continuous = space.continuous()
        adam = {"adam": torch.optim.Adam(continuous, lr=self.continuous_lr, fused=True)} if continuous else {}
        return {**adam, **self.remember(alpha)}

    def remember(self, alpha: Alpha) -> State:
        """Return what the rule carries from step to step; nothing by default."""
        return {}

    def step(self, context: StepContext, state: State) -> None:
        """Move alpha by the rule, from its validation gradient, and step the continuous parameters."""
        names = [name for name, tensor in context.alpha.items() if tensor.requires_grad]
        grads = self.gradients(context, context.validation_loss, [context.alpha[name] for name in names], state)
        with torch.no_grad():
            self.move(context, dict(zip(names, grads, strict=True)), state)

    def gradients(
        self, context: StepContext, loss: object, tensors: Sequence[Tensor], state: State
    ) -> Sequence[Tensor | None]:
        """Return gradients of a loss, and step the continuous parameters along theirs.

        Args:
            context: What a step may use.
            loss: A function that computes the loss, a scalar, when it is called.
            tensors: What the gradients are wanted of.
            state: What `init` returned.

        Returns:
            One of the shape of each tensor; None where there is none.
        """
        continuous = context.space.continuous()
        if not tensors and not continuous:
            return []
        with frozen(context.weights):
            value = loss()  # type: ignore[operator]
            grads = torch.autograd.grad(value, [*tensors, *continuous], allow_unused=True)
        if continuous:
            step_architecture(continuous, grads[len(tensors) :], state["adam"])
        return grads[: len(tensors)]

    def drawn_losses(self, context: StepContext, samples: int, state: State) -> tuple[list[Mixture], list[Tensor]]:
        """Return drawn points and their validation losses, without graph; step the continuous parameters on them.

        Args:
            context: What a step may use.
            samples: How many points to draw.
            state: What `init` returned.
        """
        mixtures = [context.mixture() for _ in range(samples)]
        losses: list[Tensor] = []

        def loss() -> Tensor:
            losses.extend(context.validation_loss(mixture) for mixture in mixtures)
            return torch.stack(losses).mean()

        if context.space.continuous():
            self.gradients(context, loss, [], state)
        else:
            with torch.no_grad():
                loss()
        return mixtures, [each.detach() for each in losses]

    def move(self, context: StepContext, grads: dict[str, Tensor | None], state: State) -> None:
        """Change alpha in place, given its validation gradient by name; called without graph.

        Args:
            context: What a step may use.
            grads: Gradients of the validation loss by the name of the group, `[choices, candidates]`.
            state: What `init` returned.
        """
        raise NotImplementedError

    def pinned(self) -> Gradient:
        """Return Adam along the validation gradient, at the same rate."""
        from nasp_core.parts.first_order import FirstOrder

        return FirstOrder(lr=self.continuous_lr)

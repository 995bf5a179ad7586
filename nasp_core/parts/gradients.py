"""How alpha moves: along a gradient by Adam, by a rule of its own, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Network, Space
from nasp_core.strategy import Gradient, StepContext, frozen
from nasp_core.types import Alpha, Mixture, State

__all__ = ["NEEDS_GRADIENT", "ByAdam", "ByRule", "FirstOrder", "NoGradient", "SingleLevel"]
__all__ += ["architecture_tensors", "step_architecture"]

NEEDS_GRADIENT = "a path-wise gradient needs a mixture that alpha's gradient reaches; use relax = OneHot or Softmax"


def architecture_tensors(alpha: Alpha, space: Network) -> list[Tensor]:
    """Return what learns of alpha and the space's continuous architecture parameters, in a fixed order."""
    return [*(tensor for tensor in alpha.values() if tensor.requires_grad), *space.continuous()]


def step_architecture(tensors: Sequence[Tensor], grads: Sequence[Tensor | None], adam: torch.optim.Optimizer) -> None:
    """Take one Adam step on the architecture with the given gradients."""
    for tensor, grad in zip(tensors, grads, strict=True):
        tensor.grad = grad
    adam.step()


@dataclass(frozen=True)
class ByAdam(Gradient):
    """Alpha and the continuous parameters follow one gradient, each by Adam; a subclass says which gradient.

    The continuous architecture parameters learn with `continuous_lr` (None: the same rate).
    """

    lr: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    continuous_lr: float | None = None

    def init(self, alpha: Alpha, space: Space) -> State:
        """Return the state: one Adam over alpha and the continuous parameters."""
        groups: list[dict[str, object]] = []
        learning = [tensor for tensor in alpha.values() if tensor.requires_grad]
        if learning:
            groups.append({"params": learning, "lr": self.lr, "weight_decay": self.weight_decay})
        if space.continuous():
            groups.append(
                {"params": space.continuous(), "lr": self.lr if self.continuous_lr is None else self.continuous_lr}
            )
        return {"adam": torch.optim.Adam(groups, lr=self.lr, betas=self.betas, fused=True)} if groups else {}

    def step(self, context: StepContext, state: State) -> None:
        """Step alpha and the continuous parameters along the gradient."""
        tensors = architecture_tensors(context.alpha, context.space)
        if tensors:
            step_architecture(tensors, self.gradient(context, tensors, state), state["adam"])

    def gradient(self, context: StepContext, tensors: list[Tensor], state: State) -> Sequence[Tensor | None]:
        """Return the gradient of each of the tensors; weights end as they began.

        Args:
            context: What a step may use.
            tensors: Alpha and the continuous parameters.
            state: What `init` returned.

        Returns:
            One of the shape of each tensor; None where there is none.
        """
        raise NotImplementedError


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

        return FirstOrder(lr=self.continuous_lr)


@dataclass(frozen=True)
class NoGradient(ByRule):
    """Leave alpha as it started; only continuous architecture parameters learn, on validation data.

    Where a space has none, an architecture step costs nothing.
    """

    def step(self, context: StepContext, state: State) -> None:
        """Step the continuous parameters."""
        self.gradients(context, context.validation_loss, [], state)

    def move(self, context: StepContext, grads: dict[str, Tensor | None], state: State) -> None:
        """Leave alpha as it is."""

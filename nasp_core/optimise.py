"""How weights are trained: frozen settings that make a torch optimiser and its learning-rate schedule."""

import math
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nasp_core.errors import SearchError
from nasp_core.rowwise import RowSteps, RowTable

__all__ = ["Optimiser", "Precision", "Training", "autocast", "average", "averaged", "put_back"]

Precision = Literal["auto", "float32", "bfloat16"]


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """Return the context in which a network computes in `precision` on `device` (see `Training`).

    Args:
        device: Where the network is.
        precision: `auto` is bfloat16 on a GPU that has it, else float32.
    """
    half = precision == "bfloat16"
    if precision == "auto":
        half = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16) if half else nullcontext()


@dataclass(frozen=True, slots=True)
class Optimiser:
    """A weight optimiser: `kind`, its rates, the gradient clip and the schedule of the learning rate.

    - `clip`: largest total gradient norm; None for no clipping.
    - `schedule`: `constant`, or `cosine` or `linear` from `learning_rate` towards `final_learning_rate`, which the step
      after the last would have.
    - `momentum` is SGD's, `betas` are Adam's.
    """

    kind: Literal["adagrad", "adam", "sgd"] = "adagrad"
    learning_rate: float = 0.05
    momentum: float = 0.0
    weight_decay: float = 0.0
    clip: float | None = None
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    betas: tuple[float, float] = (0.9, 0.999)
    final_learning_rate: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings; raises `SearchError` for unknown names, and options that the chosen kind would ignore."""
        problems = [
            f"{name} = {value!r}; there are {', '.join(known)}"
            for name, value, known in (
                ("kind", self.kind, ("adagrad", "adam", "sgd")),
                ("schedule", self.schedule, ("constant", "cosine", "linear")),
            )
            if value not in known
        ]
        if self.momentum and self.kind != "sgd":
            problems.append(f"momentum = {self.momentum} with {self.kind}, which has none; leave it out, or use sgd")
        if self.betas != (0.9, 0.999) and self.kind != "adam":
            problems.append(f"betas = {self.betas} with {self.kind}, which has none; leave them out, or use adam")
        if self.final_learning_rate and self.schedule == "constant":
            problems.append(f"final_learning_rate = {self.final_learning_rate} with a constant schedule; use cosine")
        if problems:
            raise SearchError("optimiser " + "\noptimiser ".join(problems))

    def create(self, parameters: Iterable[nn.Parameter], *, together: bool = False) -> torch.optim.Optimizer:
        """Return a fused torch optimiser.

        Args:
            parameters: What it trains.
            together: Whether all of them get a gradient in every step.
        """
        rate, decay = self.learning_rate, self.weight_decay
        if self.kind == "sgd":
            # torch's fused momentum wants all gradients from the first step on; here candidates wake one by one
            fused = together or self.momentum == 0.0
            return torch.optim.SGD(parameters, rate, momentum=self.momentum, weight_decay=decay, fused=fused)
        if self.kind == "adam":
            return torch.optim.Adam(parameters, rate, betas=self.betas, weight_decay=decay, fused=True)
        tensors = list(parameters)
        on_cpu = all(p.device.type == "cpu" for p in tensors)  # torch has no fused Adagrad on CUDA
        return torch.optim.Adagrad(tensors, rate, weight_decay=decay, fused=on_cpu)

    def rate(self, progress: float) -> float:
        """Return the learning rate at `progress` in [0, 1] of the training."""
        if self.schedule == "constant":
            return self.learning_rate
        span = self.learning_rate - self.final_learning_rate
        share = 1.0 - progress if self.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
        return self.final_learning_rate + span * share

    def rows(self, tables: Sequence[RowTable], steps: int) -> RowSteps:
        """Return how tables are trained by the rows that batches touch; none are where all rows move in every step.

        Args:
            tables: Those that a batch touches few rows of.
            steps: How many there will be, at most.
        """
        fits = RowSteps.fits(self.kind, self.betas, self.momentum, self.weight_decay)
        return RowSteps(tables if fits else (), self.kind, self.betas, steps)

    def apply(
        self,
        optimiser: torch.optim.Optimizer,
        weights: list[nn.Parameter],
        grads: tuple[Tensor | None, ...],
        rows: RowSteps | None = None,
    ) -> None:
        """Take one step with `grads`, clipped; a weight whose gradient is None is left untouched.

        Untouched means no momentum and no weight decay either: the weights of a dead candidate stay as they are.

        Args:
            optimiser: What `create` returned.
            weights: The weights, which it changes in place.
            grads: Their gradients, of the same shapes and in the same order.
            rows: What trains tables, whose gradients may be sparse; None: the optimiser trains all.
        """
        grads = tuple(grad.coalesce() if grad is not None and grad.is_sparse else grad for grad in grads)
        for weight, gradient in zip(weights, self.clipped(grads), strict=True):
            if rows is None or gradient is None or not rows.takes(weight):
                weight.grad = gradient
            else:
                optimiser.state.pop(weight, None)  # Adagrad has made one of all rows
                rows.step(weight, gradient, optimiser.param_groups[0]["lr"])
        optimiser.step()

    def clipped(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        """Return gradients whose total norm is at most `clip`; sparse ones are coalesced."""
        live = [grad.values() if grad.is_sparse else grad for grad in grads if grad is not None]
        if self.clip is None or not live:
            return grads
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(live)))
        scaled = iter(torch._foreach_mul(live, (self.clip / (norm + 1e-6)).clamp_max_(1.0)))
        return tuple(None if grad is None else _like(grad, next(scaled)) for grad in grads)


def _like(grad: Tensor, values: Tensor) -> Tensor:
    """Return `values` as a gradient of the same rows as `grad`."""
    if not grad.is_sparse:
        return values
    return torch.sparse_coo_tensor(grad.indices(), values, grad.shape, is_coalesced=True, check_invariants=False)


@dataclass(frozen=True, slots=True)
class Training:
    """How long and with what a network is trained.

    - `epochs`: passes over the training split, at most.
    - `min_steps`: on a small table, whose `epochs` are fewer weight steps than this, everything that counts epochs is
      stretched by one whole factor (see `stretched`).
    - `evaluate_every`: epochs between two validations; 0 validates only at the end.
    - `patience`: stop after this many validations without a new best; None never stops early.
    - `keep_best`: end with the weights of the best validation instead of the last.
    - `precision`: what networks compute in; `auto` is bfloat16 on a GPU that has it and float32 elsewhere. Weights,
      losses and alpha stay float32.
    - `compile`: run the network through `torch.compile` (the final training alone).
    - `average_after`: average the weights of all steps from the moment on when validation is worse than its best of
      this many validations ago (NT-ASGD, Merity et al. 2018); None never does.
    """

    epochs: int = 20
    batch_size: int = 512
    optimiser: Optimiser = Optimiser()
    evaluate_every: int = 1
    patience: int | None = None
    keep_best: bool = False
    min_steps: int = 0
    precision: Precision = "float32"
    compile: bool = False
    average_after: int | None = None

    def __post_init__(self) -> None:
        """Check the settings; raises `SearchError` for an empty budget."""
        if self.epochs < 1 or self.batch_size < 1:
            raise SearchError(
                f"a training of {self.epochs} epochs with batches of {self.batch_size} trains nothing; "
                "both must be 1 or more"
            )
        judged = self.keep_best or self.patience is not None or self.average_after is not None
        if judged and self.evaluate_every < 1:
            raise SearchError("keep_best, patience and average_after need validations: set evaluate_every to 1 or more")
        if self.average_after is not None and self.average_after < 1:
            raise SearchError(f"average_after = {self.average_after}; it must be 1 or more, or none")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise SearchError(f"precision = {self.precision!r}; there are auto, float32, bfloat16")

    def shortened(self, factor: float) -> "Training":
        """Return this training in 1/`factor` of the epochs (at least one), with `factor` times the learning rate."""
        epochs = max(1, round(self.epochs / factor))
        gain = self.epochs / epochs
        faster = replace(
            self.optimiser,
            learning_rate=self.optimiser.learning_rate * gain,
            final_learning_rate=self.optimiser.final_learning_rate * gain,
        )
        fewer = round(self.min_steps / gain)
        return replace(self, epochs=epochs, optimiser=faster, patience=None, min_steps=fewer)

    def rest(self, epochs: int) -> "Training":
        """Return a training of weights that are trained already: `epochs` at a tenth of the learning rate."""
        slow = replace(
            self.optimiser,
            learning_rate=self.optimiser.learning_rate / 10,
            schedule="constant",
            final_learning_rate=0.0,
        )
        return replace(self, epochs=epochs, optimiser=slow, patience=None, min_steps=0, evaluate_every=0)

    def stretched(self, steps_per_epoch: int) -> "Training":
        """Return this training with epochs and validation interval times the least factor that gives `min_steps`.

        The number of validations, and so the meaning of `patience`, stays as it is.
        """
        factor = math.ceil(self.min_steps / max(1, self.epochs * steps_per_epoch))
        if factor <= 1:
            return self
        return replace(self, epochs=self.epochs * factor, evaluate_every=self.evaluate_every * factor, min_steps=0)


@torch.no_grad()
def average(weights: Sequence[nn.Parameter], state: dict[str, Any] | None) -> None:
    """Take the present weights into the average.

    Args:
        weights: The weights, of the shapes of those of the average.
        state: The `weights` of the average and their `count`, changed in place; None: no average.
    """
    if state is None:
        return
    state["count"] += 1
    state["weights"] = [kept.to(weight.device) for kept, weight in zip(state["weights"], weights, strict=True)]
    torch._foreach_lerp_(state["weights"], [w.detach() for w in weights], 1.0 / state["count"])


@torch.no_grad()
def averaged(weights: Sequence[nn.Parameter], state: dict[str, Any] | None) -> list[Tensor] | None:
    """Put the average in the place of the weights and return what stood there; None where there is no average.

    Args:
        weights: The weights, which it changes in place.
        state: What `average` changes.
    """
    if state is None or not state["count"]:
        return None
    present = [weight.detach().clone() for weight in weights]
    put_back(weights, state["weights"])
    return present


@torch.no_grad()
def put_back(weights: Sequence[nn.Parameter], values: Sequence[Tensor] | None) -> None:
    """Set the weights to other values.

    Args:
        weights: The weights, which it changes in place.
        values: Of the same shapes, in the same order; None: nothing is set.
    """
    if values is not None:
        for weight, value in zip(weights, values, strict=True):
            weight.copy_(value)

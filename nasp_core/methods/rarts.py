"""RARTS: two copies of the weights, and alpha learns from both.  Xue et al., IEEE Access 2022, arXiv:2008.03901."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts import Argmax, ByAdam, FirstOrder, Logits, Softmax
from nasp_core.parts.gradients import NEEDS_GRADIENT
from nasp_core.strategy import Gradient, Paper, StepContext, Strategy, frozen
from nasp_core.types import Alpha, State

__all__ = ["PAPER", "Twin", "rarts"]


@dataclass(frozen=True)
class Twin(ByAdam):
    """Relaxed architecture search: L_val(y, a) + `share` * L_train(w, a) + `coupling` / 2 * ||y - w||^2 (RARTS).

    By turns (Xue et al. 2020, arXiv:2008.03901, algorithm 1): w <- w - h coupling (w - y), and the weight step of the
    search itself follows L_train; y <- y - h (dL_val/dy + coupling (y - w)); alpha follows dL_val(y)/da +
    `share` * dL_train(w)/da. y starts as w; h is the weights' learning rate, and y's gradient is clipped as theirs. The
    weight step itself is not scaled by `share`. Costs two more copies of the weights, and a pass more than first order.
    """

    coupling: float = 0.1
    share: float = 1.0

    gives: ClassVar[frozenset[str]] = frozenset({"pathwise"})
    needs: ClassVar[dict[str, str]] = {"gradient": NEEDS_GRADIENT}

    def init(self, alpha: Alpha, space: Space) -> State:
        """Return the state: Adam, and the twins, made of what the first step trains."""
        return {**super().init(alpha, space), "twin": []}

    def gradient(self, context: StepContext, tensors: list[Tensor], state: State) -> Sequence[Tensor | None]:
        """Return the gradient of both losses in each tensor, and move the twins towards their data and each other."""
        rate, twin, weights = context.learning_rate, self._twin(context, state), list(context.weights)
        with torch.no_grad():
            for weight, other in zip(weights, twin, strict=True):
                weight.sub_(rate * self.coupling * (weight - other))
        with _exchanged(weights, twin):
            both = torch.autograd.grad(context.validation_loss(), [*tensors, *weights], allow_unused=True)
        valid, gradients = both[: len(tensors)], context.optimiser.clipped(both[len(tensors) :])
        with torch.no_grad():
            for weight, other, gradient in zip(weights, twin, gradients, strict=True):
                other.sub_(rate * (self.coupling * (other - weight) + (0.0 if gradient is None else gradient)))
        with frozen(weights):
            train = torch.autograd.grad(context.training_loss(), tensors, allow_unused=True)
        pairs = zip(valid, (None if t is None else self.share * t for t in train), strict=True)
        return [v if t is None else t if v is None else v + t for v, t in pairs]

    def _twin(self, context: StepContext, state: State) -> list[Tensor]:
        """Return the twins, on the weights' device: a state that was read from a file lies on the CPU."""
        weights = context.weights
        if not state["twin"]:
            state["twin"] = [weight.detach().clone() for weight in weights]
        if state["twin"][0].device != weights[0].device:
            state["twin"] = [t.to(weights[0].device) for t in state["twin"]]
        twin: list[Tensor] = state["twin"]
        return twin

    def pinned(self) -> Gradient:
        """Return first order: a given point has one copy of its weights."""
        return FirstOrder(self.lr, self.betas, self.weight_decay, self.continuous_lr)


@contextmanager
def _exchanged(weights: Sequence[Tensor], twin: Sequence[Tensor]) -> Iterator[None]:
    """Give the network the twin's values within the block."""
    own = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight, other in zip(weights, twin, strict=True):
            weight.copy_(other)
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, start in zip(weights, own, strict=True):
                weight.copy_(start)


PAPER = Paper(
    title="RARTS: An Efficient First-Order Relaxed Architecture Search Method",
    authors="Fanghui Xue, Yingyong Qi, Jack Xin",
    venue="IEEE Access",
    year=2022,
    arxiv="2008.03901",
)


def rarts(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    coupling: float = 0.1,
    share: float = 1.0,
) -> Strategy:
    """Search with twin weights, one a part of the data, held together by `coupling` (algorithm 1).

    Parts: domain=Logits, relax=Softmax, gradient=Twin, select=Argmax.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the weights' optimiser is the recipe's, the twins' plain descent at its rate.
    Fails when: the coupling is so weak that the twins part: alpha then serves two networks.
    """
    return Strategy(
        domain=Logits(),
        relax=Softmax(),
        gradient=Twin(lr=alpha_lr, betas=betas, weight_decay=weight_decay, coupling=coupling, share=share),
        select=Argmax(),
        name="rarts",
        papers=(PAPER,),
    )

"""TND-NAS: drawn points and a policy gradient, for costs without gradient.  Lyu and Wen, 2021, arXiv:2111.03892."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.parts import Argmax, ByRule, Categorical, Complexity, Logits, Shrink
from nasp_core.parts.gradients import step_architecture
from nasp_core.strategy import Paper, StepContext, Strategy
from nasp_core.types import Alpha, State, group_names

__all__ = ["PAPER", "ScoreFunction", "score_gradient", "tnd_nas"]


def score_gradient(
    losses: Sequence[Tensor], log_probs: Sequence[Tensor], tensors: Sequence[Tensor], baseline: float
) -> tuple[Tensor | None, ...]:
    """Return mean of (loss - baseline) * d log p / d tensor: an unbiased gradient of the expected loss.

    Shapes: `losses` and `log_probs` scalars, one for each drawn point; `baseline` must not depend on these points.
    """
    terms = [(loss.detach() - baseline) * log_prob for loss, log_prob in zip(losses, log_probs, strict=True)]
    return torch.autograd.grad(torch.stack(terms).mean(), list(tensors), allow_unused=True)


@dataclass(frozen=True)
class ScoreFunction(ByRule):
    """REINFORCE on alpha (Williams 1992, theorem 1): `samples` points a step, their validation loss as the cost.

    The baseline is a running mean of the losses with momentum `baseline`. Any cost will do: no gradient is needed.
    """

    lr: float = 3e-3
    betas: tuple[float, float] = (0.5, 0.999)
    samples: int = 1
    baseline: float = 0.9

    needs: ClassVar[dict[str, str]] = {
        "log_prob": "a log-derivative gradient needs drawn points with their probability; use relax = Categorical",
        "logits": "the step is Adam's, which no simplex holds; use domain = Logits",
    }

    def remember(self, alpha: Alpha) -> State:
        """Return Adam over alpha, and the running mean (None before the first loss)."""
        learning = [alpha[name] for name in group_names(alpha)]
        return {"alpha": torch.optim.Adam(learning, lr=self.lr, betas=self.betas, fused=True), "mean": None}

    def step(self, context: StepContext, state: State) -> None:
        """Draw points, and step alpha against what was worse than usual."""
        mixtures, losses = self.drawn_losses(context, self.samples, state)
        mean = float(torch.stack(losses).mean())
        tensors = [context.alpha[name] for name in group_names(context.alpha)]
        log_probs = [mixture.log_prob for mixture in mixtures if mixture.log_prob is not None]
        usual = mean if state["mean"] is None else state["mean"]
        step_architecture(tensors, score_gradient(losses, log_probs, tensors, usual), state["alpha"])
        state["mean"] = self.baseline * usual + (1 - self.baseline) * mean

    def move(self, context: StepContext, grads: dict[str, Tensor | None], state: State) -> None:
        """Take no gradient of a mixture."""


PAPER = Paper(
    title="TND-NAS: Towards Non-Differentiable Objectives in Differentiable Neural Architecture Search",
    authors="Bo Lyu, Shiping Wen",
    venue="arXiv preprint",
    year=2021,
    arxiv="2111.03892",
)


def tnd_nas(
    *,
    alpha_lr: float = 3e-3,
    betas: tuple[float, float] = (0.5, 0.999),
    samples: int = 1,
    baseline: float = 0.9,
    eta: float = 0.0,
    keep: tuple[int, ...] = (5, 3),
) -> Strategy:
    """Search by REINFORCE on softmax(alpha), with the validation loss plus `eta` times the size as the cost.

    Candidates leave as the search goes on: the `keep` strongest of each choice stay, at equal parts of it.

    Parts: domain=Logits, relax=Categorical, gradient=ScoreFunction, select=Argmax; schedules Shrink and, with `eta`,
    Complexity.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the supernet does not grow deeper between stages.
    Fails when: rewards of single batches are noise beside what the points differ by.
    """
    return Strategy(
        domain=Logits(),
        relax=Categorical(),
        gradient=ScoreFunction(lr=alpha_lr, betas=betas, samples=samples, baseline=baseline),
        select=Argmax(),
        schedules=(
            Shrink(tuple((i + 1) / (len(keep) + 1) for i in range(len(keep))), tuple(keep)),
            *((Complexity(eta),) if eta else ()),
        ),
        name="tnd-nas",
        papers=(PAPER,),
    )

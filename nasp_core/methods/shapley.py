"""Shapley-NAS: candidates are paid what they contribute.  Xiao et al., CVPR 2022, arXiv:2206.09811."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts import Argmax, ByRule, Logits, Softmax, StartAt
from nasp_core.strategy import Paper, StepContext, Strategy
from nasp_core.types import Alpha, Mixture, State, group_names

__all__ = ["PAPER", "Shapley", "Value", "shapley", "shapley_exact", "shapley_sampled"]

Value = Callable[[frozenset[int]], float]


def shapley_exact(players: int, value: Value) -> list[float]:
    """Return the Shapley values of a game of `players`, from all its 2^players coalitions.

    phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! * (v(S + i) - v(S)); they sum to v(all) - v(none).
    """
    worth = {
        frozenset(members): value(frozenset(members))
        for size in range(players + 1)
        for members in itertools.combinations(range(players), size)
    }
    phi = [0.0] * players
    for members, before in worth.items():
        for player in set(range(players)) - members:
            share = math.factorial(len(members)) * math.factorial(players - len(members) - 1)
            phi[player] += share / math.factorial(players) * (worth[members | {player}] - before)
    return phi


def shapley_sampled(players: int, value: Value, permutations: int, generator: torch.Generator) -> list[float]:
    """Return unbiased estimates of the Shapley values: the mean loss at a player's leaving, over random orders.

    Each order's losses sum to v(all) - v(none), and so do the estimates.
    """
    phi, everyone = [0.0] * players, frozenset(range(players))
    whole = value(everyone)
    for _ in range(permutations):
        members, before = everyone, whole
        for player in torch.randperm(players, generator=generator).tolist():
            members = members - {player}
            after = value(members)
            phi[player] += (before - after) / permutations
            before = after
    return phi


@dataclass(frozen=True)
class Shapley(ByRule):
    """alpha <- alpha + `rate` * s / ||s||, s a running mean of Shapley values (Xiao et al. 2022, eq. 9).

    The players are all candidates of all choices that a gradient reaches, the value of a coalition is minus the
    validation loss of the supernet with the other candidates' weights set to zero. Exact for up to `exact` players,
    else from `permutations` random orders; taken in every `every`-th architecture step, in evaluation mode, without any
    graph.
    """

    rate: float = 0.1
    momentum: float = 0.8
    permutations: int = 10
    every: int = 25
    exact: int = 6

    gives: ClassVar[frozenset[str]] = frozenset({"rule", "random"})
    needs: ClassVar[dict[str, str]] = {
        "smooth": "a candidate's contribution is measured in the dense mixture; use relax = Softmax",
    }

    def remember(self, alpha: Alpha) -> State:
        """Return the running mean of the values, per group."""
        return {"count": 0, "values": {name: torch.zeros_like(alpha[name]).detach() for name in group_names(alpha)}}

    def step(self, context: StepContext, state: State) -> None:
        """Step the continuous parameters; in every `every`-th step measure the values and move alpha."""
        self.gradients(context, context.validation_loss, [], state)
        if state["count"] % self.every == 0:
            training = context.space.training
            context.space.eval()  # coalitions leave the statistics of batch norms alone, and drop nothing
            with torch.no_grad():
                self._learn(context, state)
            context.space.train(training)
        state["count"] += 1

    def move(self, context: StepContext, grads: dict[str, Tensor | None], state: State) -> None:
        """Take no gradient of a mixture."""

    def _learn(self, context: StepContext, state: State) -> None:
        space = context.space
        assert isinstance(space, Space)
        weights = {name: w.detach() for name, w in (context.mixture().weights or {}).items()}
        players = [
            (group.name, row, column)
            for group in space.groups
            for row in range(group.choices)
            for column, name in enumerate(group.candidates)
            if name not in space.zero_operations and len(group.candidates) > 1
        ]

        def value(members: frozenset[int]) -> float:
            left = {name: w.clone() for name, w in weights.items()}
            for number, (name, row, column) in enumerate(players):
                if number not in members:
                    left[name][row, column] = 0.0
            return -float(context.validation_loss(Mixture(weights=left)))

        if len(players) <= self.exact:
            phi = shapley_exact(len(players), value)
        else:
            phi = shapley_sampled(len(players), value, self.permutations, context.generator)
        measured = {name: torch.zeros(w.shape) for name, w in weights.items()}
        for (name, row, column), one in zip(players, phi, strict=True):
            measured[name][row, column] = one
        for name, new in measured.items():
            old = state["values"][name].cpu()
            state["values"][name] = old = self.momentum * old + (1 - self.momentum) * new
            tensor = context.alpha[name]
            tensor.add_((self.rate * old / old.norm().clamp_min(1e-12)).to(tensor.device))


PAPER = Paper(
    title="Shapley-NAS: Discovering Operation Contribution for Neural Architecture Search",
    authors="Han Xiao, Ziwei Wang, Zheng Zhu, Jie Zhou, Jiwen Lu",
    venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year=2022,
    arxiv="2206.09811",
)


def shapley(
    *,
    rate: float = 0.1,
    momentum: float = 0.8,
    permutations: int = 10,
    every: int = 25,
    exact: int = 6,
    warmup: float = 0.3,
) -> Strategy:
    """Search by Shapley values of the candidates in the supernet, in place of a gradient (equations 5 to 9).

    Exact where there are up to `exact` candidates in all, such as the operations of an interaction function; else from
    `permutations` random orders; every `every` steps after the `warmup`.

    Parts: domain=Logits, relax=Softmax, gradient=Shapley, select=Argmax; schedule StartAt.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: the value of a coalition is minus the loss, not the accuracy, so that it fits every task; no
    order is cut off early.
    Fails when: candidates stand in for each other: what others can replace is paid little, however good.
    """
    return Strategy(
        domain=Logits(),
        relax=Softmax(),
        gradient=Shapley(rate=rate, momentum=momentum, permutations=permutations, every=every, exact=exact),
        select=Argmax(),
        schedules=(StartAt(warmup),),
        name="shapley",
        papers=(PAPER,),
    )

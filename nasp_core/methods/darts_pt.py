"""DARTS-PT: discretise by what the supernet loses.  Wang et al., ICLR 2021, arXiv:2108.04392."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.methods.darts import darts
from nasp_core.network import Space
from nasp_core.strategy import Paper, Select, SelectContext, Strategy
from nasp_core.types import Active, Mixture, derive_seed

__all__ = ["PAPER", "Perturbation", "darts_pt"]


@dataclass(frozen=True)
class Perturbation(Select):
    """Keep the candidate whose removal costs the supernet most, choice by choice in random order (Wang et al. 2021).

    A removed candidate weighs nothing, the others keep their weights; where candidates were to fall together the
    scores decide. Between two decisions the supernet is trained on for `tune` epochs (0: not at all). Then, where edges
    compete, edges are removed from each node whose loss costs least, until as many are left as the space keeps
    (arXiv:2108.04392, algorithm 1).
    """

    tune: int = 1

    needs: ClassVar[dict[str, str]] = {
        "convex": "removals are from a mixture of shares that sum to one; use relax = Softmax"
    }
    least: ClassVar[dict[str, float]] = {"tune": 0}

    def select(self, context: SelectContext) -> Active:
        """Return the point that is left."""
        space = context.space
        weights = {name: score.detach().clamp_min(0.0) for name, score in context.scores.items()}  # pruned: -inf
        weights = {name: w / w.sum(-1, keepdim=True).clamp_min(1e-12) for name, w in weights.items()}
        self._decide_candidates(context, weights)
        kept = {name: w.clone() for name, w in weights.items()}
        if space.keeps is not None:
            self._drop_edges(context, kept)
        return space.constrain(kept)

    def _decide_candidates(self, context: SelectContext, weights: dict[str, Tensor]) -> None:
        space, generator = context.space, torch.Generator().manual_seed(derive_seed(context.seed, "perturbation"))
        places = [(group, row) for group in space.groups for row in range(group.choices) if len(group.candidates) > 1]
        for turn, number in enumerate(torch.randperm(len(places), generator=generator).tolist()):
            group, row = places[number]
            if turn and self.tune:
                context.tune(self._mixture(space, weights), self.tune)
            there = context.scores[group.name][row] > -torch.inf
            alive = [index for index in range(len(group.candidates)) if bool(there[index])]
            rivals = [index for index in alive if group.candidates[index] not in space.zero_operations] or alive
            without = []
            for index in rivals:
                table = weights[group.name].clone()
                table[row, index] = 0.0
                metric = context.mixture_metric(self._mixture(space, {**weights, group.name: table}))
                loss = -metric if context.task.maximise else metric
                without.append((loss, float(weights[group.name][row, index]), index))
            best = max(without, key=lambda entry: entry[:2])[2]
            weights[group.name][row] = torch.nn.functional.one_hot(torch.tensor(best), len(group.candidates)).float()

    def _drop_edges(self, context: SelectContext, weights: dict[str, Tensor]) -> None:
        space = context.space
        assert space.keeps is not None
        for name, nodes in space.node_inputs().items():
            for edges in nodes:
                left = list(edges)
                while len(left) > space.keeps:
                    costs = []
                    for edge in left:
                        table = weights[name].clone()
                        table[edge] = 0.0
                        metric = context.mixture_metric(self._mixture(space, {**weights, name: table}))
                        costs.append((-metric if context.task.maximise else metric, edge))
                    gone = min(costs)[1]
                    weights[name][gone] = 0.0
                    left.remove(gone)

    @staticmethod
    def _mixture(space: Space, weights: dict[str, Tensor]) -> Mixture:
        device = next(space.parameters()).device
        kept = {name: tuple(tuple(row.nonzero()[:, 0].tolist()) for row in table) for name, table in weights.items()}
        return Mixture(weights={name: table.to(device) for name, table in weights.items()}, kept=kept)


PAPER = Paper(
    title="Rethinking Architecture Selection in Differentiable NAS",
    authors="Ruochen Wang, Minhao Cheng, Xiangning Chen, Xiaocheng Tang, Cho-Jui Hsieh",
    venue="International Conference on Learning Representations",
    year=2021,
    arxiv="2108.04392",
)


def darts_pt(
    *,
    alpha_lr: float = 3e-4,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 1e-3,
    tune: int = 1,
) -> Strategy:
    """Search as DARTS does; then decide choice by choice, training the supernet on in between (algorithm 1).

    Parts: domain=Logits, relax=Softmax, gradient=FirstOrder, select=Perturbation.
    Shapes: alpha `[choices, candidates]` float32, unbounded; loss scalar, mean per batch.
    Departs from the paper: `tune` epochs between decisions (there 5 to 25), at a tenth of the learning rate.
    Fails when: candidates' outputs differ in scale: then the largest is missed most, not the best.
    """
    base = darts(alpha_lr=alpha_lr, betas=betas, weight_decay=weight_decay)
    return replace(base, select=Perturbation(tune), name="darts-pt", papers=(PAPER,))

"""NASP made reliable on small spaces: fair turns, then finalists ranked on validation.  After Yao et al., AAAI 2020."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.evaluation import better
from nasp_core.methods.fairnas import PAPER as FAIRNAS
from nasp_core.methods.nasp import PAPER
from nasp_core.network import Space
from nasp_core.parts import Argmax, Box, FairTurns, FirstOrder
from nasp_core.strategy import Select, SelectContext, Strategy
from nasp_core.types import Active

__all__ = ["Ranking", "finalists", "nasp_ranked"]


def finalists(space: Space, scores: Mapping[str, Tensor], count: int) -> list[Active]:
    """Return up to `count` points of different equivalence classes, best first by scores `[choices, candidates]`.

    The first is the scores' own projection; the others differ from it by one candidate that is made the strongest of
    its group, so that it is live in its choice (and where choices compete, its choice is kept), the cheapest change
    first: the one that gives up least of the summed scores of the live candidates. Of an equivalence class
    (`Space.equivalence_class`: points that are one function under other names) only the first stands.
    """
    plain = {name: tensor.detach().cpu() for name, tensor in scores.items()}
    base = space.constrain(plain)
    worth = _worth(base, plain)
    swaps: list[tuple[float, str, int, int, Active]] = []
    for name, score in plain.items():
        for row in range(score.shape[0]):
            for column in range(score.shape[1]):
                changed = {key: value.clone() for key, value in plain.items()}
                changed[name][row, column] = torch.nextafter(score.max(), torch.tensor(torch.inf))
                active = space.constrain(changed)
                swaps.append((worth - _worth(active, plain), name, row, column, active))
    chosen: dict[str, Active] = {space.equivalence_class(base): base}
    for *_, active in sorted(swaps, key=lambda swap: swap[:4]):
        if len(chosen) == count:
            break
        chosen.setdefault(space.equivalence_class(active), active)
    return list(chosen.values())


def _worth(active: Active, scores: Mapping[str, Tensor]) -> float:
    """Return the summed scores of the live candidates."""
    return sum(
        float(scores[name][row, pick]) for name, picks in active.items() for row, pick in enumerate(picks) if pick >= 0
    )


@dataclass(frozen=True)
class Ranking(Select):
    """Train the finalists alone from fresh weights on a shortened schedule; the best on validation wins.

    `epoch_divisor` divides the epochs of the final training and multiplies its learning rate, so that a short training
    gets as far: without that, a short training favours whatever learns fast (biases) over what ends best.
    A search whose supernet cannot tell the candidates apart is right all the same when the best is among
    the `count` finalists; on a space of up to `count` equivalence classes that is certain.
    """

    count: int = 8
    epoch_divisor: float = 4.0

    least: ClassVar[dict[str, float]] = {"count": 1, "epoch_divisor": 1}

    def select(self, context: SelectContext) -> Active:
        """Return the finalist with the best validation metric; ties go to the larger alpha."""
        runners = finalists(context.space, context.scores, self.count)
        if len(runners) == 1:
            return Argmax().select(context)
        training = context.final.shortened(self.epoch_divisor)
        best, best_metric = runners[0], None
        for active in runners:
            metric = context.trained_metric(active, training)
            if best_metric is None or better(context.task, metric, best_metric):
                best, best_metric = active, metric
        return best


def nasp_ranked(
    *, alpha_lr: float = 3e-3, noise: float = 1e-3, finalists: int = 8, epoch_divisor: float = 4.0
) -> Strategy:
    """Search with NASP's proximal step, train every candidate in its turn, and let a short final decide.

    The proximal search orders the candidates and learns the element-wise networks; the `finalists` best by alpha,
    one of each equivalence class, are then trained alone on a schedule shortened by `epoch_divisor` and ranked on
    validation.

    Parts: domain=Box(0, 1), relax=FairTurns, gradient=FirstOrder, select=Ranking.
    Shapes: alpha `[choices, candidates]` float32 in [0, 1]; loss scalar, mean per batch.
    Departs from the paper: the weight step takes every candidate in turn instead of the winner alone; the
    selection trains finalists instead of reading alpha, since shared embeddings favour what learns fastest.
    Fails when: the best point is not among the finalists (only on spaces of more equivalence classes than `finalists`),
    or two points are closer than a short training can tell.
    """
    return Strategy(
        domain=Box(0.0, 1.0, start=0.5, noise=noise),
        relax=FairTurns(),
        gradient=FirstOrder(lr=alpha_lr),
        select=Ranking(count=finalists, epoch_divisor=epoch_divisor),
        name="nasp-ranked",
        papers=(PAPER, FAIRNAS),
    )

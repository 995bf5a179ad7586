"""Finalists trained alone and ranked on validation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nasp_core.errors import SearchError
from nasp_core.loop import better
from nasp_core.network import Space
from nasp_core.select.argmax import Argmax
from nasp_core.strategy import Select, SelectContext
from nasp_core.types import Active, Alpha

__all__ = ["Ranking", "finalists"]


def finalists(space: Space, alpha: Alpha, count: int) -> list[Active]:
    """Return up to `count` points of different families, best first by alpha.

    The first is alpha's own projection; the others differ from it in one choice, the cheapest change first:
    the one that gives up least alpha. Of a family (`Space.family`: points that are one function under other
    names) only the first stands.
    """
    scores = {name: tensor.detach().cpu() for name, tensor in alpha.items()}
    swaps: list[tuple[float, str, int, int]] = []
    for name, score in scores.items():
        loss = score.amax(dim=-1, keepdim=True) - score
        swaps += [
            (float(loss[row, column]), name, row, column)
            for row in range(score.shape[0])
            for column in range(score.shape[1])
        ]
    chosen: dict[str, Active] = {}
    for _, name, row, column in sorted(swaps):
        changed = {key: value.clone() for key, value in scores.items()}
        top = changed[name][row].max()
        changed[name][row, column] = torch.nextafter(top, torch.tensor(torch.inf))
        active = space.constrain(changed)
        chosen.setdefault(space.family(active), active)
        if len(chosen) == count:
            break
    return list(chosen.values())


@dataclass(frozen=True)
class Ranking(Select):
    """Train the finalists alone from fresh weights on a shortened schedule; the best on validation wins.

    `shorten` divides the epochs of the final training and multiplies its learning rate, so that a short training
    gets as far: without that, a short training favours whatever learns fast (biases) over what ends best.
    A search whose supernet cannot tell the candidates apart is right all the same when the best is among
    the `count` finalists; on a space of up to `count` families that is certain.
    """

    count: int = 8
    shorten: float = 4.0

    def __post_init__(self) -> None:
        """Refuse an empty final."""
        if self.count < 1 or self.shorten < 1:
            raise SearchError(f"Ranking(count={self.count}, shorten={self.shorten}): both must be 1 or more")

    def select(self, context: SelectContext) -> Active:
        """Return the finalist with the best validation metric; ties go to the larger alpha."""
        runners = finalists(context.space, context.alpha, self.count)
        if len(runners) == 1:
            return Argmax().select(context)
        training = context.final.shortened(self.shorten)
        best, best_metric = runners[0], None
        for active in runners:
            metric = context.trained_metric(active, training)
            if best_metric is None or better(context.task, metric, best_metric):
                best, best_metric = active, metric
        return best

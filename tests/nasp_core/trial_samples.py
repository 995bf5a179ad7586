"""A planted table of results on the space of NAS-Bench-201, and small settings of every multi-trial strategy."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from nasp_core.network import Space
from nasp_core.trials import Proposal
from nasp_core.types import derive_seed
from sif.cells.convolution.nas_bench_201 import NasBench201Settings, NasBench201Space

LEARNERS: Mapping[str, dict[str, Any]] = {
    "evolution": {"population": 10, "sample": 4},
    "local-search": {"starts": 5},
    "reinforce": {"learning_rate": 0.03},
    "tpe": {"startup": 8},
    "asha": {},
    "weak-predictor": {"startup": 8, "trees": 15, "pool": 150},
    "bayes-wl": {"startup": 8, "pool": 100, "iterations": 1},
    "anasod": {"startup": 8, "pool": 100},
    "nao": {"startup": 8, "epochs": 25, "hidden": 16, "unlabelled": 40},
}
"""Every strategy that learns from a table, with settings fit for some tens of trials; all but `trials`."""


def bench_space() -> NasBench201Space:
    return NasBench201Space(NasBench201Settings(channels=1, cells_per_stage=1))


class PlantedTable:
    """Scores of cells: every edge has its taste, every operation its worth, neighbours on the way interact."""

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.taste = torch.randn(6, 5, generator=generator).tolist()
        self.worth = (2 * torch.randn(5, generator=generator)).tolist()
        self.pairs = torch.randn(5, 5, generator=generator).tolist()
        self.best = max(self._value(picks) for picks in self._all())

    def _all(self) -> Any:
        return ([a, b, c, d, e, f] for a in R for b in R for c in R for d in R for e in R for f in R)

    def _value(self, picks: Any) -> float:
        alone = sum(self.taste[edge][pick] + self.worth[pick] for edge, pick in enumerate(picks))
        return alone + sum(self.pairs[picks[one]][picks[two]] for one, two in ((0, 2), (0, 4), (1, 5), (2, 5)))

    def judge(self, proposal: Proposal) -> float:
        """Return the score of a point; a part of a training misses it by a fixed error that shrinks to nothing."""
        picks = proposal.active["edge"]
        if proposal.fidelity == 1:
            return self._value(picks)
        draw = torch.Generator().manual_seed(derive_seed(0, str(picks), f"{proposal.fidelity:.3f}"))
        error = 2 * math.sqrt(1 - proposal.fidelity) * float(torch.randn((), generator=draw))
        return self._value(picks) - 2 * (1 - proposal.fidelity) + error

    def regret(self, results: Any) -> float:
        """Return how far the best whole training is from the best of the table."""
        return self.best - max(each.score for each in results if each.proposal.fidelity == 1)


R = range(5)


def valid(space: Space, active: Any) -> bool:
    """Return whether a selection is a point of the space: the nearest one to itself, and readable."""
    scores = {g.name: torch.zeros(g.shape) for g in space.groups}
    for group in space.groups:
        for choice, pick in enumerate(active[group.name]):
            if pick >= 0:
                scores[group.name][choice, pick] = 1.0
    same = {name: tuple(picks) for name, picks in space.constrain(scores).items()} == dict(active)
    return same and dict(space.selection(space.genotype(active))) == dict(active)

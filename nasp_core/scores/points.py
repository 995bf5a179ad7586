"""The score of a point of a space: of its network freshly drawn, or of the supernet, as the score asks."""

from __future__ import annotations

import copy
from typing import Protocol, runtime_checkable

import torch

from nasp_core.network import Loss, Space
from nasp_core.scores.protocol import Score
from nasp_core.types import Active, Batch

__all__ = ["SupernetScore", "score_point"]


@runtime_checkable
class SupernetScore(Protocol):
    """A score that judges a point within its supernet, not its plain network."""

    def score_active(self, space: Space, active: Active, batch: Batch, loss: Loss) -> float:
        """Return the score of a point; the weights of `space` were just drawn."""
        ...


def score_point(score: Score, space: Space, active: Active, batch: Batch, loss: Loss, *, seed: int) -> float:
    """Return the score of a point with weights drawn from `seed`; the space is left as it was.

    Raises `ScoreError` where the score has no meaning for the point's network.
    """
    generator = torch.Generator().manual_seed(seed)
    if isinstance(score, SupernetScore):
        fresh = copy.deepcopy(space)
        fresh.reset(generator)
        return score.score_active(fresh, active, batch, loss)
    network = space.build(space.genotype(active))
    network.reset(generator)
    return score.score(network, batch, loss)

"""A rival: minus the L1 distance of two embeddings in a run, damped popularity in a comparison."""

from __future__ import annotations

import torch
from torch import Tensor

from sif.encodings.sides import SidedNetwork
from sif.rivals import Fitted, Method, PairTable, Rival, fixed, grid_of

__all__ = ["NEARNESS"]


class Distance(SidedNetwork):
    """The closer the embeddings, the higher the score."""

    def join(self, rows: Tensor, mixture: object = None) -> Tensor:
        """Return the score `[batch]` of embeddings `[modes, batch, dim]`."""
        return -(rows[0] - rows[1]).abs().sum(-1)


def fit(table: PairTable, settings: dict[str, float], seed: int) -> Fitted:
    """Counts to a power."""
    scores = torch.from_numpy(table.counts() ** settings["power"]).float()
    return Fitted(lambda users: scores.expand(len(users), -1), parameters=table.n_items)


NEARNESS = Rival(
    "nearness",
    "made up",
    networks={"pairs": fixed(Distance, biases=True)},
    method=Method(fit, grid_of({"power": 0.5}, power=(0.0, 0.5, 1.0)), deterministic=True),
)

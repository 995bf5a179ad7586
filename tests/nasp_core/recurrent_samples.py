"""A small recurrent cell space, its cells and its words, for the tests of the space and of the model around it."""

from __future__ import annotations

import torch
from torch import Tensor

from sif.cells.recurrent.settings import RecurrentSettings
from sif.cells.recurrent.space import RecurrentCellSpace

PLAIN = RecurrentSettings(
    vocabulary=11,
    steps=3,
    embedding_dim=6,
    hidden=6,
    init_range=0.6,
    batch_norm=False,
    dropout=0.0,
    dropouth=0.0,
    dropoutx=0.0,
    dropouti=0.0,
    slowness_penalty=0.0,
)
FUNCTIONS = {
    "none": torch.zeros_like,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": torch.clone,
}
CELLS = [
    (("tanh", 0), ("relu", 1), ("sigmoid", 2)),
    (("identity", 0), ("tanh", 0), ("tanh", 0)),
    (("sigmoid", 0), ("identity", 1), ("relu", 1)),
]


def space_of(settings: RecurrentSettings = PLAIN, *, double: bool = True) -> RecurrentCellSpace:
    space = RecurrentCellSpace(settings)
    space.reset(torch.Generator().manual_seed(0))
    return space.double() if double else space


def words(time: int = 5, batch: int = 4, seed: int = 1) -> Tensor:
    return torch.randint(0, PLAIN.vocabulary, (time, batch), generator=torch.Generator().manual_seed(seed))

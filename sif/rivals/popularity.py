"""Popularity: items by their number of training pairs, of all time or of late, alike for everyone."""

import numpy as np
import torch
from torch import Tensor, nn

from nasp_core.network import Network
from nasp_core.types import Mixture
from sif.errors import DataError
from sif.operations.tables import FoldedSide, Tables
from sif.rivals.base import Baseline, Rival
from sif.rivals.method import Fitted, Method, Settings
from sif.rivals.pair_table import PairTable
from sif.serve.folding import Folded
from sif.tasks.queries import Queries

__all__ = ["POPULARITY", "POPULARITY_RECENT"]


class Popularity(Network):
    """How many training pairs an item has, for everyone; nothing is trained."""

    def __init__(self, users: int, counts: Tensor) -> None:
        """Take how many users there are, and the counts of the items, int64 `[items]`."""
        super().__init__()
        self.users = users
        self.score = nn.Parameter(counts.float(), requires_grad=False)

    def forward(self, inputs: Queries, mixture: Mixture | None = None) -> Tensor:
        """Return the counts of the items asked about, float32 `[n, k + m]`."""
        shared = self.score[inputs.shared].expand(len(inputs.users), -1)
        return torch.cat([self.score[inputs.own], shared], 1)

    def folded(self) -> Tables:
        """Return the counts as biases of the items; users have none."""
        return _tables(self.users, self.score.detach().clone())


def _tables(users: int, counts: Tensor) -> Tables:
    return Tables(FoldedSide.of(counts.new_zeros(users)), FoldedSide.of(counts))


def _network(sizes: tuple[int, ...], settings: object, counts: Tensor | None, histories: object) -> Network:
    return Popularity(sizes[0], torch.zeros(sizes[1]) if counts is None else counts[sizes[0] :])


def _fit(table: PairTable, settings: Settings, seed: int) -> Fitted:
    counts = torch.from_numpy(table.counts()).float()
    return Fitted(Folded(_tables(table.n_users, counts)), table.n_items)


POPULARITY = Rival(
    "popularity",
    "items by their number of training pairs",
    {"lists": Baseline(_network, trained=False, embeds=False)},
    Method(_fit, deterministic=True),
)


def _recent(table: PairTable, settings: Settings, seed: int) -> Fitted:
    if table.times is None:
        raise DataError(f"popularity-recent: {_timeless(table)}")
    older = len(table.times) - max(1, round(settings["newest"] * len(table.times)))
    late = table.train.indices[table.times >= np.partition(table.times, older)[older]]
    counts = torch.from_numpy(np.bincount(late, minlength=table.n_items)).float()
    return Fitted(Folded(_tables(table.n_users, counts)), table.n_items)


def _timeless(table: PairTable) -> str:
    return "" if table.times is not None else "the table has no times; name their column: --set columns.timestamp=NAME"


POPULARITY_RECENT = Rival(
    "popularity-recent",
    "items by their number of the newest training pairs (Ji et al. 2020, arXiv:2005.13829)",
    method=Method(
        _recent,
        # The newest share of all pairs: what a window of days would be depends on how old a table is.
        tuple({"newest": share} for share in (0.1, 0.05, 0.2, 0.02, 0.4, 0.01)),
        deterministic=True,
        refuse=_timeless,
    ),
)

"""Popularity: items by their number of training pairs, alike for everyone."""

import torch
from torch import Tensor, nn

from nasp_core.network import Network
from nasp_core.types import Mixture
from sif.operations.tables import FoldedSide, Tables
from sif.rivals.base import Baseline, Rival
from sif.rivals.method import Fitted, Method, Settings
from sif.rivals.pair_table import PairTable
from sif.serve.folding import Folded
from sif.tasks.queries import Queries

__all__ = ["POPULARITY"]


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

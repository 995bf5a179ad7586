"""Networks as served forms: a function of a space, folded, that makes new users too; and any other, asked itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from scipy import sparse
from torch import Tensor

from nasp_core.genotype import Genotype
from nasp_core.network import Network
from sif.encodings.side import Side
from sif.operations.tables import FoldedSide
from sif.serve.folding import Folded
from sif.serve.forms import Served
from sif.serve.new_users import solve_users
from sif.spaces.known import FunctionNetwork
from sif.tasks import Objective
from sif.tasks.queries import Queries

__all__ = ["ByNetwork", "FoldedNetwork", "network_form"]


class FoldedNetwork(Folded):
    """A function of users and items, folded; its network makes new users, by what it was trained for."""

    def __init__(self, network: FunctionNetwork, objective: Objective, genotype: Genotype | None = None) -> None:
        """Take a trained network, what it was trained for, and its architecture where it is to be saved by that."""
        super().__init__(network)
        self.network, self.objective, self.genotype = network, objective, genotype

    def new_users(self, rows: sparse.csr_array) -> FoldedSide:
        """Return the tables of users of whom only a row is known (see `solve_users`)."""
        return solve_users(self.network, rows, self.objective)

    def vectors(self, side: Side) -> Tensor:
        """Return the embeddings of a side, those of all branches."""
        return torch.cat(self.network.encoded(side), dim=1)


@dataclass(frozen=True, eq=False)
class _Numbers:
    """Users by their numbers, int64 `[n]`."""

    numbers: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self, ids: slice) -> _Numbers:
        return _Numbers(self.numbers[ids])


class ByNetwork(Served):
    """A network that does not fold: it is asked itself, one user at a time; with contexts, in one of them."""

    def __init__(self, network: Network, sizes: tuple[int, ...], name: str = "", context: int | None = None) -> None:
        """Take a trained network.

        Args:
            network: Of pairs of users and items, or of triples with a context.
            sizes: How many users and items there are (and contexts).
            name: What it is called.
            context: Of the scores; None: the last.
        """
        self.network, self.sizes, self.name = network, sizes, name or type(network).__name__
        self.n_users, self.n_items = sizes[:2]
        self._fixed = () if len(sizes) == 2 else (sizes[2] - 1 if context is None else context,)

    def at(self, context: int) -> ByNetwork:
        """Return the scores in a context."""
        return ByNetwork(self.network, self.sizes, self.name, context)

    @property
    def additive(self) -> bool:
        """Nobody knows; taken for not."""
        return False

    def describe(self) -> str:
        """Return in words what makes the scores."""
        return f"the network of {self.name}, which does not fold"

    def users(self, numbers: Tensor) -> _Numbers:
        """Return known users by their numbers, int64 `[n]`."""
        return _Numbers(numbers)

    def scorer(self, items: Tensor | None = None) -> Callable[[_Numbers], Tensor]:
        """Return what makes scores of all items, or of those given."""
        wanted = torch.arange(self.n_items) if items is None else items

        @torch.no_grad()
        def scores(asked: _Numbers) -> Tensor:
            made = [self._of(user, wanted) for user in asked.numbers.tolist()]
            return torch.stack(made) if made else torch.empty(0, len(wanted))

        return scores

    def _of(self, user: int, items: Tensor) -> Tensor:
        modes = [torch.full_like(items, user), items, *(torch.full_like(items, each) for each in self._fixed)]
        made: Tensor = self.network(torch.stack(modes))
        return made


class ByQueries(ByNetwork):
    """The same of a network that is asked `Queries`: users with lists of items."""

    def _of(self, user: int, items: Tensor) -> Tensor:
        alone = torch.tensor([user])
        made: Tensor = self.network(Queries(alone, alone.new_empty(1, 0), items))
        return made[0]


def network_form(
    network: Any, sizes: tuple[int, ...], objective: Objective, *, name: str = "", lists: bool = False
) -> Served:
    """Return the form that serves a trained network: folded where that can be.

    A network that is no function of a space says itself what it folds to, by a method `folded` that returns its
    `Tables`, or `as_function`, that returns the same scores as a network of a space.

    Args:
        network: The network, in evaluation.
        sizes: How many users and items there are (and contexts).
        objective: What it was trained for.
        name: What it is called.
        lists: Whether it is asked `Queries`.
    """
    if len(sizes) == 2 and hasattr(network, "as_function"):
        network = network.as_function()
    if len(sizes) == 2 and isinstance(network, FunctionNetwork):
        return FoldedNetwork(network, objective)
    if len(sizes) == 2 and hasattr(network, "folded"):
        return Folded(network)
    return (ByQueries if lists else ByNetwork)(network, sizes, name)

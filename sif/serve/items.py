"""Items scored by the items that a user has: EASE, SLIM, nearest neighbours, and whatever else is items x items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sif.serve.forms import Served
from sif.serve.rows import Weighing

__all__ = ["Baskets", "ByRows", "ItemItem", "arrays_of", "matrix_in", "weighing_in"]


@dataclass(frozen=True, eq=False)
class Baskets:
    """What users have: CSR float `[users, items]`."""

    matrix: Any

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def rows(self, ids: slice) -> Baskets:
        """Return some of the users."""
        return Baskets(self.matrix[ids])


class ByRows(Served):
    """Base of forms whose scores come from what a user has, and nothing else: a known user is their row too."""

    def __init__(self, histories: Any, weighing: Weighing | None = None) -> None:
        """Take what users have.

        Args:
            histories: CSR float `[users, items]`: what the known users have, ones or confidences.
            weighing: How the values of a new user's row become confidences; None: all that they have counts alike.
        """
        self.histories, self.weighing = histories, weighing
        self.n_users, self.n_items = histories.shape

    def users(self, numbers: Tensor) -> Baskets:
        """Return known users by their numbers, int64 `[n]`."""
        return Baskets(self.histories[numbers.cpu().numpy()])

    def new_users(self, rows: sparse.csr_array) -> Baskets:
        """Return users by what they have, CSR `[n, items]`; equal rows have equal scores, known or new."""
        values = np.ones(rows.nnz) if self.weighing is None else self.weighing.of(rows.data)
        parts = (values.astype(self.histories.dtype), rows.indices.astype(np.int32), rows.indptr.astype(np.int32))
        return Baskets(sparse.csr_matrix(parts, shape=rows.shape))

    def arrays(self) -> dict[str, Tensor]:
        """Return the histories by the parts of their CSR."""
        return arrays_of("histories", self.histories)

    def facts(self) -> dict[str, Any]:
        """Return how the values of rows count."""
        return {"weighing": None if self.weighing is None else self.weighing.plain()}


class ItemItem(ByRows):
    """A user's scores are what they have times weights of items by items; so new users need their row alone."""

    format = "sif-items-1"

    def __init__(self, histories: Any, weights: Any, weighing: Weighing | None = None) -> None:
        """Take what makes the scores; the matrices are not copied.

        Args:
            histories: CSR `[users, items]`: what the known users have, ones or confidences, in the weights' dtype.
            weights: An array or CSR float `[items, items]`; row i is what having item i brings to each item.
            weighing: How the values of a new user's row become confidences; None: all that they have counts alike.
        """
        super().__init__(histories, weighing)
        self.weights = weights

    @property
    def additive(self) -> bool:
        """Whether the score is f(user) + g(item): where no item weighs on any."""
        return not (self.weights.nnz if sparse.issparse(self.weights) else self.weights.any())

    def describe(self) -> str:
        """Return in words what makes the scores."""
        if not sparse.issparse(self.weights):
            return f"dense weights of {self.n_items} x {self.n_items} items on what a user has"
        return f"{self.weights.nnz} weights of items by items on what a user has"

    def scorer(self, items: Tensor | None = None) -> Callable[[Baskets], Tensor]:
        """Return what makes scores of all items, or of those given."""
        weights = self.weights if items is None else self.weights[:, items.cpu().numpy()]

        def scores(asked: Baskets) -> Tensor:
            made = asked.matrix @ weights
            return torch.from_numpy(made.toarray() if sparse.issparse(made) else made)

        return scores

    def arrays(self) -> dict[str, Tensor]:
        """Return the weights, dense or by the parts of their CSR, and the histories by theirs."""
        return super().arrays() | arrays_of("weights", self.weights)

    @classmethod
    def of_arrays(cls, arrays: dict[str, Tensor], facts: dict[str, Any]) -> Self:
        """Return what `arrays` and `facts` were of."""
        return cls(matrix_in("histories", arrays), matrix_in("weights", arrays), weighing_in(facts))


def weighing_in(facts: dict[str, Any]) -> Weighing | None:
    """Return how the values of rows count, out of the facts of a form, which lose it."""
    plain = facts.pop("weighing")
    return None if plain is None else Weighing(**plain)


def arrays_of(name: str, matrix: Any) -> dict[str, Tensor]:
    """Return a matrix as arrays by name.

    Args:
        name: Its name.
        matrix: An array, which is one; or a CSR, which is `values`, `columns`, `starts` and `shape`.
    """
    if not sparse.issparse(matrix):
        return {name: torch.from_numpy(np.ascontiguousarray(matrix))}
    made = {"values": matrix.data, "columns": matrix.indices, "starts": matrix.indptr}
    shape = torch.tensor(matrix.shape)
    return {f"{name}.{part}": torch.from_numpy(np.ascontiguousarray(array)) for part, array in made.items()} | {
        f"{name}.shape": shape
    }


def matrix_in(name: str, arrays: Mapping[str, Tensor]) -> Any:
    """Return the matrix that `arrays_of` took apart; raises `KeyError` where something is missing.

    Args:
        name: Its name.
        arrays: Those of a form.
    """
    if name in arrays:
        return arrays[name].numpy()
    parts = tuple(arrays[f"{name}.{part}"].numpy() for part in ("values", "columns", "starts"))
    return sparse.csr_matrix(parts, shape=tuple(arrays[f"{name}.shape"].tolist()))

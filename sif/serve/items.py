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

__all__ = ["Baskets", "ItemItem"]


@dataclass(frozen=True, eq=False)
class Baskets:
    """What users have: CSR float `[users, items]`."""

    matrix: Any

    def __len__(self) -> int:
        return int(self.matrix.shape[0])

    def rows(self, ids: slice) -> Baskets:
        """Return some of the users."""
        return Baskets(self.matrix[ids])


class ItemItem(Served):
    """A user's scores are what they have times weights of items by items; so new users need their row alone."""

    format = "sif-items-1"

    def __init__(self, histories: Any, weights: Any, weighing: Weighing | None = None) -> None:
        """Take what makes the scores; the matrices are not copied.

        Args:
            histories: CSR `[users, items]`: what the known users have, ones or confidences, in the weights' dtype.
            weights: An array or CSR float `[items, items]`; row i is what having item i brings to each item.
            weighing: How the values of a new user's row become confidences; None: all that they have counts alike.
        """
        self.histories, self.weights, self.weighing = histories, weights, weighing
        self.n_users, self.n_items = histories.shape

    @property
    def additive(self) -> bool:
        """Whether the score is f(user) + g(item): where no item weighs on any."""
        return not (self.weights.nnz if sparse.issparse(self.weights) else self.weights.any())

    def describe(self) -> str:
        """Return in words what makes the scores."""
        if not sparse.issparse(self.weights):
            return f"dense weights of {self.n_items} x {self.n_items} items on what a user has"
        return f"{self.weights.nnz} weights of items by items on what a user has"

    def users(self, numbers: Tensor) -> Baskets:
        """Return known users by their numbers, int64 `[n]`."""
        return Baskets(self.histories[numbers.cpu().numpy()])

    def new_users(self, rows: sparse.csr_array) -> Baskets:
        """Return users by what they have, CSR `[n, items]`; equal rows have equal scores, known or new."""
        values = np.ones(rows.nnz) if self.weighing is None else self.weighing.of(rows.data)
        parts = (values.astype(self.weights.dtype), rows.indices.astype(np.int32), rows.indptr.astype(np.int32))
        return Baskets(sparse.csr_matrix(parts, shape=rows.shape))

    def scorer(self, items: Tensor | None = None) -> Callable[[Baskets], Tensor]:
        """Return what makes scores of all items, or of those given."""
        weights = self.weights if items is None else self.weights[:, items.cpu().numpy()]

        def scores(asked: Baskets) -> Tensor:
            made = asked.matrix @ weights
            return torch.from_numpy(made.toarray() if sparse.issparse(made) else made)

        return scores

    def arrays(self) -> dict[str, Tensor]:
        """Return the weights, dense or by the parts of their CSR, and the histories by theirs."""
        made = _parts("histories", self.histories)
        if sparse.issparse(self.weights):
            return made | _parts("weights", self.weights)
        return made | {"weights": torch.from_numpy(np.ascontiguousarray(self.weights))}

    def facts(self) -> dict[str, Any]:
        """Return how the values of rows count."""
        return {"weighing": None if self.weighing is None else self.weighing.plain()}

    @classmethod
    def of_arrays(cls, arrays: dict[str, Tensor], facts: dict[str, Any]) -> Self:
        """Return what `arrays` and `facts` were of."""
        dense = arrays.get("weights")
        weights = _matrix("weights", arrays) if dense is None else dense.numpy()
        plain = facts.pop("weighing")
        return cls(_matrix("histories", arrays), weights, None if plain is None else Weighing(**plain))


def _parts(name: str, matrix: Any) -> dict[str, Tensor]:
    """Return a CSR as arrays: `values`, `columns`, `starts` and `shape`."""
    made = {"values": matrix.data, "columns": matrix.indices, "starts": matrix.indptr}
    shape = torch.tensor(matrix.shape)
    return {f"{name}.{part}": torch.from_numpy(np.ascontiguousarray(array)) for part, array in made.items()} | {
        f"{name}.shape": shape
    }


def _matrix(name: str, arrays: Mapping[str, Tensor]) -> Any:
    parts = tuple(arrays[f"{name}.{part}"].numpy() for part in ("values", "columns", "starts"))
    return sparse.csr_matrix(parts, shape=tuple(arrays[f"{name}.shape"].tolist()))

"""What a trained recommender is when it is served: one interface, whatever it was before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from sif.encodings.side import Side
from sif.errors import DataError, RunError
from sif.extend import resolve
from sif.serve.topk import Ranked, top_k_of

__all__ = ["FORMS", "Asked", "Served", "form_of", "no_new_users"]

FORMS: Mapping[str, str] = {
    "sif-folded-2": "sif.serve.folding:Folded",
    "sif-items-1": "sif.serve.items:ItemItem",
    "sif-item-factors-1": "sif.serve.item_factors:ItemFactors",
    "sif-blend-1": "sif.serve.blend:Blend",
}
"""The forms that are plain arrays, by their `format`; one of your own is `package.module:object`."""


class Asked(Protocol):
    """Users who are asked about, held as a form likes."""

    def __len__(self) -> int: ...

    def rows(self, ids: slice) -> Any:
        """Return some of them."""
        ...


class Served(ABC):
    """Scores of all items for users, by number or by what they have; a form says in plain arrays what makes them.

    Attributes:
        format: what files call the form, with its version; empty where no arrays make it again.
        n_users: how many users it knows by number.
        n_items: how many items it ranks.
    """

    format: ClassVar[str] = ""
    n_users: int
    n_items: int

    @property
    @abstractmethod
    def additive(self) -> bool:
        """Whether the score is f(user) + g(item), which ranks the items alike for every user."""

    @abstractmethod
    def describe(self) -> str:
        """Return in words what makes the scores: `an inner product of 64 dimensions, biases`."""

    @abstractmethod
    def users(self, numbers: Tensor) -> Asked:
        """Return known users as `scores_of` and `top_k` take them.

        Args:
            numbers: Int64 `[n]`.
        """

    def new_users(self, rows: sparse.csr_array) -> Asked:
        """Return users of whom nothing but their row is known, as `scores_of` and `top_k` take them.

        Args:
            rows: CSR `[n, items]`: ratings, or what each user has.

        Raises:
            DataError: the form knows users by number alone.
        """
        raise no_new_users(self)

    @abstractmethod
    def scorer(self, items: Tensor | None = None) -> Callable[[Any], Tensor]:
        """Return what makes scores, float `[users, items]`, of users as `users` and `new_users` return them.

        Args:
            items: Numbers int64 `[items]`; None: all.
        """

    def arrays(self) -> dict[str, Tensor]:
        """Return the arrays that make it; raises `RunError` where it is none of arrays."""
        raise RunError(f"the model is {self.describe()}: no tables, and sif alone serves it; ask it by its run")

    def facts(self) -> dict[str, Any]:
        """Return what `of_arrays` needs beside the arrays, ready for JSON."""
        return {}

    @classmethod
    def of_arrays(cls, arrays: dict[str, Tensor], facts: dict[str, Any]) -> Self:
        """Return what `arrays` and `facts` were of; raises `KeyError` where one is missing.

        Args:
            arrays: By name.
            facts: Out of which it takes its own; others may be there.
        """
        raise NotImplementedError

    def vectors(self, side: Side) -> Tensor:
        """Return a vector for each `user` or `item` whose cosines say who is alike, float `[n, dim]`.

        Raises:
            DataError: it has none.
        """
        raise DataError(f"the model is {self.describe()}; it has no vectors of its {side}s, so none are alike")

    def __call__(self, users: Tensor) -> Tensor:
        """Return the scores of all items, as rankings are judged by."""
        return self.scores(users)

    def scores(self, users: Tensor, items: Tensor | None = None) -> Tensor:
        """Return scores float `[users, items]`.

        Args:
            users: Their numbers, int64 `[users]`.
            items: Numbers int64 `[items]`; None: all.
        """
        return self.scores_of(self.users(users), items)

    @torch.no_grad()
    def scores_of(self, users: Asked, items: Tensor | None = None) -> Tensor:
        """Return scores float `[users, items]` of users given by what `new_users` returned.

        Args:
            users: Known or new ones.
            items: Numbers int64 `[items]`; None: all.
        """
        return self.scorer(items)(users)

    @torch.no_grad()
    def top_k(
        self,
        users: Any,
        n: int,
        *,
        items: NDArray[np.int64] | None = None,
        seen: sparse.csr_array | None = None,
        excluded: NDArray[np.int64] | None = None,
    ) -> Ranked:
        """Return ids int32 and scores float32 `[users, n]` of the best items, best first (see `topk.top_k`).

        Scores are made a block of users at a time.

        Args:
            users: Their numbers int64 `[users]`, or what `new_users` returned.
            n: How many items.
            items: Rank only these, int64 `[items]` ascending.
            seen: CSR `[users, n_items]`, whose entries are left out.
            excluded: Items left out for all, int64 `[m]`.
        """
        asked: Asked = self.users(users) if isinstance(users, Tensor) else users
        score = self.scorer(None if items is None else torch.from_numpy(items))
        columns = self.n_items if items is None else len(items)
        return top_k_of(
            lambda rows: score(asked.rows(rows)), len(asked), columns, n, within=items, seen=seen, excluded=excluded
        )


def no_new_users(form: Served) -> DataError:
    """Return why a form makes no users of rows."""
    return DataError(
        f"the model is {form.describe()}; it knows its users by number alone, and makes none from a row\n"
        "  Train again with the new users in the data, or leave recalculate_user out."
    )


def form_of(format: str, arrays: dict[str, Tensor], facts: dict[str, Any]) -> Served:
    """Return the form of arrays.

    Args:
        format: As files call it.
        arrays: By name.
        facts: Out of which the form takes its own.

    Raises:
        RunError: this sif does not know the format.
        KeyError: something is missing.
    """
    kind = resolve("form", format, FORMS, RunError)
    kind = resolve("form", kind, error=RunError) if isinstance(kind, str) else kind
    made: Served = kind.of_arrays(arrays, facts)
    return made

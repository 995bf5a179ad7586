"""Items scored by what a user has through pairs of matrices: low ranks, and filters on the graph of items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from sif.encodings.side import Side
from sif.serve.items import Baskets, ByRows, arrays_of, matrix_in, weighing_in
from sif.serve.rows import Weighing

__all__ = ["ItemFactors", "Term"]

_USERS = 64  # at once: their scores of all items stay in a processor's cache between two products


@dataclass(frozen=True, eq=False)
class Term:
    """A polynomial of P = left @ right, items by items, which is never made: c_1 P + c_2 P^2 + ...

    Attributes:
        left: an array or CSR float `[items, m]`.
        right: the same `[m, items]`; None: the transpose of `left`.
        powers: c_1, c_2, ...
    """

    left: Any
    right: Any = None
    powers: tuple[float, ...] = (1.0,)

    @property
    def closing(self) -> Any:
        """The right matrix, `[m, items]`."""
        if self.right is not None:
            return self.right
        return self.left.T.tocsr() if sparse.issparse(self.left) else self.left.T

    def weights(self) -> NDArray[Any]:
        """Return the polynomial as an array `[items, items]`."""
        product = _dense(self.left @ self.closing)
        *lower, last = self.powers
        made = last * product
        for power in reversed(lower):
            made = product @ made + power * product
        return made


class ItemFactors(ByRows):
    """A user's scores are what they have times sums of polynomials of factored weights of items by items.

    Nothing holds items x items: memory is that of the factors, and a catalogue that is too large for `ItemItem` fits.
    """

    format = "sif-item-factors-1"

    def __init__(self, histories: Any, terms: Sequence[Term], weighing: Weighing | None = None) -> None:
        """Take what makes the scores; the matrices are not copied.

        Args:
            histories: CSR `[users, items]`: what the known users have, ones or confidences, in the terms' dtype.
            terms: Whose scores are added.
            weighing: How the values of a new user's row become confidences; None: all that they have counts alike.
        """
        super().__init__(histories, weighing)
        self.terms = tuple(terms)
        self._closings = [term.closing for term in self.terms]

    @property
    def additive(self) -> bool:
        """Whether the score is f(user) + g(item): where no item weighs on any."""
        return not any(_any(term.left) and _any(right) for term, right in zip(self.terms, self._closings, strict=True))

    def describe(self) -> str:
        """Return in words what makes the scores."""
        parts = [
            f"{'sparse' if sparse.issparse(term.left) else 'dense'} weights of {self.n_items} items by "
            f"{term.left.shape[1]}" + (f", to order {len(term.powers)}" if len(term.powers) > 1 else "")
            for term in self.terms
        ]
        return f"{' and '.join(parts)}, and back, on what a user has"

    def scorer(self, items: Tensor | None = None) -> Callable[[Baskets], Tensor]:
        """Return what makes scores of all items, or of those given."""
        some = None if items is None else items.cpu().numpy()
        last = [right if some is None else right[:, some] for right in self._closings]
        width = self.n_items if some is None else len(some)

        def scores(asked: Baskets) -> Tensor:
            has = asked.matrix
            made = np.empty((has.shape[0], width), np.result_type(has.dtype, *(term.left.dtype for term in self.terms)))
            for start in range(0, has.shape[0], _USERS):
                block = has[start : start + _USERS]
                own = [
                    _dense(closing.T @ _inside(block, term, right))
                    for term, right, closing in zip(self.terms, self._closings, last, strict=True)
                ]
                made[start : start + _USERS] = sum(own[1:], own[0]).T
            return torch.from_numpy(made)

        return scores

    def vectors(self, side: Side) -> Tensor:
        """Return the factors of the items where one low rank makes all scores, float `[items, m]`."""
        if side == "item" and len(self.terms) == 1 and not sparse.issparse(self.terms[0].left):
            return torch.from_numpy(np.ascontiguousarray(self._closings[0].T))
        return super().vectors(side)

    def arrays(self) -> dict[str, Tensor]:
        """Return the histories, and `left0`, `right0`, ... of the terms; no right one where it is the transpose."""
        made = super().arrays()
        for number, term in enumerate(self.terms):
            made |= arrays_of(f"left{number}", term.left)
            made |= {} if term.right is None else arrays_of(f"right{number}", term.right)
        return made

    def facts(self) -> dict[str, Any]:
        """Return how the values of rows count, and the coefficients of each term."""
        return super().facts() | {"powers": [list(term.powers) for term in self.terms]}

    @classmethod
    def of_arrays(cls, arrays: dict[str, Tensor], facts: dict[str, Any]) -> Self:
        """Return what `arrays` and `facts` were of."""
        terms = []
        for number, powers in enumerate(facts.pop("powers")):
            given = any(name.split(".")[0] == f"right{number}" for name in arrays)
            right = matrix_in(f"right{number}", arrays) if given else None
            terms.append(Term(matrix_in(f"left{number}", arrays), right, tuple(powers)))
        return cls(matrix_in("histories", arrays), terms, weighing_in(facts))


def _inside(has: Any, term: Term, right: Any) -> NDArray[Any]:
    """Return what users have, and the lower orders of the polynomial, times `left`, `[m, n]` (Horner's rule).

    Users are columns: so a sparse matrix goes through its entries once, each with a row of users side by side.
    """
    now = np.ascontiguousarray(_dense((has * term.powers[-1]) @ term.left).T)
    for power in reversed(term.powers[:-1]):
        made = np.asarray(_dense(right.T @ now))
        made += (has * power).T.toarray() if sparse.issparse(has) else (has * power).T
        now = np.asarray(_dense(term.left.T @ made))
    return now


def _dense(matrix: Any) -> NDArray[Any]:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix)


def _any(matrix: Any) -> bool:
    return bool(matrix.nnz if sparse.issparse(matrix) else matrix.any())

"""What a branch's encodings share in one forward pass: the id tables of both sides, and whatever is made once."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sif.encodings.rows import Rows
from sif.encodings.sums import CSR

__all__ = ["Once", "Ties"]


class Once:
    """Rows that one forward pass makes once, by name."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, bool], Rows] = {}

    def once(self, key: str, make: Callable[[], Rows]) -> Rows:
        """Make rows, or take those already made; within no_grad those made with a graph serve too, without it."""
        graph = torch.is_grad_enabled()
        if (key, graph) not in self._made:
            other = None if graph else self._made.get((key, True))
            self._made[key, graph] = make() if other is None else Rows(other.values.detach(), other.index)
        return self._made[key, graph]


class Ties(NamedTuple):
    """The branch as one of its sides sees it, for encodings that read id tables instead of one of their own.

    - `ids`: the id tables of the side, float `[rows, dim]`, and of the other one, `[others, dim]`; None where the
      branch has it not.
    - `lists`: what the rows of each of the two know of the other.
    - `steps`: of propagation.
    - `names`: of the two sides, by which `made` tells apart what it keeps.
    - `made`: shared by both sides.
    """

    ids: tuple[Tensor | None, Tensor | None]
    lists: tuple[CSR, CSR]
    steps: int
    names: tuple[str, str]
    made: Once

    def turned(self) -> "Ties":
        """Return the branch as the other side sees it."""
        return Ties(self.ids[::-1], self.lists[::-1], self.steps, self.names[::-1], self.made)

"""What serving reads of a trained network of users and items, whichever space it is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from torch import Tensor

from sif.encodings.histories import Histories
from sif.encodings.side import SideTables
from sif.spaces.branch import Branch

__all__ = ["SIDES", "FunctionNetwork", "Side"]

Side = Literal["user", "item"]
SIDES: tuple[Side, Side] = ("user", "item")


class FunctionNetwork(Protocol):
    """score(u, i) = sum over branches of branch(lift(user's encoding), lift(item's encoding)), plus biases.

    `bias` and `offset` are None without biases, `histories` where no encoding reads any.
    """

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of users and of items."""
        ...

    @property
    def settings(self) -> Any:
        """The settings of the space."""
        ...

    @property
    def bias(self) -> Tensor | None:
        """Biases `[users + items, 1]`."""
        ...

    @property
    def offset(self) -> Tensor | None:
        """What is added to every score."""
        ...

    @property
    def branches(self) -> Sequence[Branch]:
        """The functions that are added."""
        ...

    @property
    def histories(self) -> Histories | None:
        """The training pairs."""
        ...

    def encoded(self, side: Side) -> list[Tensor]:
        """Return per branch what it joins: vectors `[n, dim]` of all of a side."""
        ...

    def lift(self, side: Side, branch: int, values: Tensor) -> Tensor:
        """Return vectors `[..., dim]` of a side after a branch's element-wise network, where it has one."""
        ...

    def tables(self, side: Side) -> list[SideTables]:
        """Return per branch what the vectors of a side are made of."""
        ...

    def frequency_scale(self, counts: Tensor) -> Tensor:
        """Return what scales the penalty of users `[n]` with that many training pairs."""
        ...

"""What an encoding is: how a side, a user or an item, becomes a vector by a table of embeddings."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from nasp_core.rowwise import is_by_rows
from sif.encodings.rows import Rows
from sif.encodings.sums import CSR, bag, lists_of_rows, sums_of
from sif.encodings.ties import Once, Ties

__all__ = ["Encoding", "Known", "Lookup"]

_FEW = 1 << 16  # so few pairs are summed whole without a further look
_PRICE = 4  # what a pair of some rows costs, in pairs of all rows: their lists are cut out, and sorted to go back


class Lookup(NamedTuple):
    """Rows of one side that are wanted, with what their histories leave out.

    - `ids`: int64 `[r]`.
    - `others`: int64 `[r]`, each row leaves out one entry, where `known` bool `[r]` is true (None: everywhere); or
      with `cuts` int64 `[r + 1]`, `[h]`: row i leaves out `others[cuts[i]:cuts[i + 1]]`. None: nothing is left out.
    - `share`: float `[r]`, the share of each row in the penalty; None where none is wanted.
    """

    ids: Tensor
    others: Tensor | None = None
    known: Tensor | None = None
    cuts: Tensor | None = None
    share: Tensor | None = None


class Known(Once):
    """What the rows of one side know of the other side, in one forward pass; what lookups share is made once.

    `lists`: per row the ids of the other side; `power`: a history is the sum of its embeddings / (how many) ** power;
    `half_life`: days in which a decayed one halves; `ties`: the branch, for those that read id tables.
    """

    def __init__(self, lists: CSR, power: float, half_life: float = math.inf, ties: Ties | None = None) -> None:
        super().__init__()
        self.lists, self.power, self.half_life, self.ties = lists, power, half_life, ties
        self._kept: dict[str, Any] = {}

    @cached_property
    def counts(self) -> Tensor:
        """How many each row knows, int64 `[rows]`."""
        return self.lists.starts.diff()

    def counts_of(self, ids: Tensor) -> Tensor:
        """Return how many each of `ids` int64 `[n]` knows, without looking at the others."""
        return self.lists.starts.index_select(0, ids + 1) - self.lists.starts.index_select(0, ids)

    def scale(self, counts: Tensor, dtype: torch.dtype) -> Tensor:
        """Return counts ** -power `[n]`, 0 where nothing is counted."""
        return torch.where(counts > 0, counts.clamp_min(1).to(dtype) ** -self.power, 0.0)

    def few(self, ids: Tensor) -> bool:
        """Return whether the lists of some rows are so much less than all that they are summed alone."""
        members = self.lists.members
        small = len(ids) < len(self.lists.starts) - 1 and len(members) > _FEW
        return small and _PRICE * int(self.counts_of(ids).sum()) < len(members)

    def sums(self, table: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sums of whole lists over a table, their counts, and where among them each of `ids` is.

        Of all rows, or where that is much more work of those asked about alone.
        """
        if not is_by_rows(table) and not self.few(ids):
            return self.once(f"sums {id(table)}", lambda: Rows(sums_of(table, self.lists))).values, self.counts, ids
        distinct, index = torch.unique(ids, return_inverse=True)
        starts, members = lists_of_rows(self.lists, distinct)
        return bag(table, starts, members), starts.diff(), index

    def left(self, lookup: Lookup) -> tuple[Tensor, Tensor]:
        """Return the lists of a lookup without what they leave out: starts int64 `[r + 1]` and members."""
        ids, others, known, cuts, _ = lookup
        starts, members = lists_of_rows(self.lists, ids)
        if others is None:
            return starts, members
        places = torch.arange(len(ids), device=ids.device)
        row = places.repeat_interleave(starts.diff())
        if cuts is not None:
            places = places.repeat_interleave(cuts.diff())
        elif known is not None:
            places, others = places[known], others[known]
        size = len(self.lists.back_starts)
        stay = ~torch.isin(row * size + members, places * size + others)
        counts = torch.bincount(row[stay], minlength=len(ids))
        return torch.cat([counts.new_zeros(1), counts.cumsum(0)]), members[stay]

    def places(self, rows: Tensor, others: Tensor) -> Tensor:
        """Return where in the lists the entries of pairs are, int64 `[n]`; anywhere for a pair that they have not.

        Args:
            rows: Of the side, int64 `[n]`.
            others: Members of their lists, int64 `[n]`, which are in ascending order there.
        """
        size = len(self.lists.back_starts)
        keys = self.kept("keys", lambda: self._keys(size))
        return torch.searchsorted(keys, rows * size + others).clamp_max_(max(0, len(keys) - 1))

    def _keys(self, size: int) -> Tensor:
        ids = torch.arange(len(self.counts), device=self.counts.device)
        return ids.repeat_interleave(self.counts) * size + self.lists.members

    def kept(self, key: str, make: Callable[[], Any]) -> Any:
        """Return what was made under a key before, or make it: what needs no gradient."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


class Encoding:
    """One way to make vectors of a side. Subclass it: `formula` and `encode` are needed, all else follows from them.

    A row is encoded by the list of what it knows of the other side (a user: their items), through a table with an
    embedding for each of the other side. Pairs that training predicts are left out of the lists; a new user's list is
    their row. Encodings are candidates alone or as a sum: `id+package.module:object`.
    """

    name: str = ""
    """Name of a built-in encoding; one of your own is named `package.module:object`."""
    formula: str = ""
    """The vector as a person writes it; {side} stands for the side, {mark} for the branch's number: `h({side})`."""
    needs: Literal["", "values", "ages"] = ""
    """What of the pairs it reads beside who met what (see `Histories`)."""
    own: bool = False
    """Whether the table holds a row for each of the side itself, solved for when a user is new."""
    tied: Literal["", "other", "both"] = ""
    """Whose id tables it reads instead of a table of its own: none, the other side's (its `table`), or both."""
    whole: bool = False
    """Whether vectors leave out nothing, whatever is predicted."""

    encode: Callable[..., Tensor]
    """`encode(table, starts, members, power)`: return vectors float `[n, dim]` of lists over a table `[others, dim]`.

    Row i knows `members[starts[i]:starts[i + 1]]`, int64, which may be empty; `power` is the space's `history_power`.
    """

    def share(self, steps: int) -> float:
        """Return how much of the row of its own id a vector has.

        Args:
            steps: Of propagation, where that decides it.
        """
        return 1.0 if self.own else 0.0

    def read(self, table: Tensor, known: Known) -> Tensor:
        """Return the table that lists are read through: new users are encoded by it.

        Args:
            table: Embeddings of the other side, float `[others, dim]`.
            known: The lists of the side, with their ties.
        """
        return table

    def rows(self, table: Tensor, lookup: Lookup, known: Known) -> tuple[Rows, Tensor | None]:
        """Return the vectors of a lookup, and the penalty on the rows of the table that are its own (without l2).

        Args:
            table: Embeddings of the other side, float `[others, dim]`.
            lookup: Which rows are encoded, and what is left out of their lists.
            known: The lists of the side.
        """
        asked = Lookup(lookup.ids, share=lookup.share) if self.whole else lookup
        return Rows(self.encode(table, *known.left(asked), known.power)), None

    def penalty(self, table: Tensor) -> Tensor | None:
        """Return the penalty of the whole table (without l2), which counts once a batch: the mean of ||row||^2.

        Args:
            table: Embeddings, float `[others, dim]`.
        """
        return table.square().sum() / max(1, len(table))

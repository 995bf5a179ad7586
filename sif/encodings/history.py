"""A side by its history: the embeddings of what it met, summed."""

import torch
from torch import Tensor

from nasp_core.rowwise import is_by_rows
from sif.encodings.base import Encoding, Known, Lookup
from sif.encodings.rows import Rows
from sif.encodings.sides import gather
from sif.encodings.sums import LeaveOneOut, bag, leave_one, lists_of_rows, sums_of

__all__ = ["History"]

_FEW = 1 << 16  # so few pairs are summed whole without a further look
_PRICE = 4  # what a pair of some rows costs, in pairs of all rows: their lists are cut out, and sorted to go back


class History(Encoding):
    """The sum of the embeddings of a list / (how many) ** power, zero where nothing is left."""

    name, formula = "history", "h{mark}({side})"

    def encode(self, table: Tensor, starts: Tensor, members: Tensor, power: float) -> Tensor:
        """Return scaled sums."""
        counts = starts.diff()
        scale = torch.where(counts > 0, counts.clamp_min(1).to(table.dtype) ** -power, 0.0)
        return bag(table, starts, members) * scale.unsqueeze(-1)

    def rows(self, table: Tensor, lookup: Lookup, known: Known) -> tuple[Rows, None]:
        """Return histories from whole sums, less what the lookup leaves out."""
        if lookup.others is not None and lookup.cuts is None:
            return self.without_one(table, lookup, known, None), None
        sums, counts, index = self._sums(table, lookup.ids, known)
        if lookup.others is None or lookup.cuts is None:
            rows = Rows(sums * known.scale(counts, table.dtype).unsqueeze(-1), index)
            return rows if len(index) >= len(sums) else Rows(rows.full()), None
        left = counts.index_select(0, index) - lookup.cuts.diff()
        values = gather(sums, index)[0] - bag(table, lookup.cuts, lookup.others)
        return Rows(values * known.scale(left, table.dtype).unsqueeze(-1)), None

    def without_one(self, table: Tensor, lookup: Lookup, known: Known, ids: Tensor | None) -> Rows:
        """Return the histories of a lookup whose rows leave out one entry each, plus rows of a table of `ids`."""
        assert lookup.others is not None
        sums, counts, index = self._sums(table, lookup.ids, known)
        left = counts.index_select(0, index) - (1 if lookup.known is None else lookup.known.to(counts.dtype))
        scale = known.scale(left, table.dtype)
        drop = scale if lookup.known is None else scale * lookup.known
        return Rows(leave_one(sums, table, ids, LeaveOneOut(lookup.ids, index, lookup.others, scale, drop)))

    def _sums(self, table: Tensor, ids: Tensor, known: Known) -> tuple[Tensor, Tensor, Tensor]:
        """Return sums of whole histories, their counts, and where among them each of `ids` is.

        Of all rows, or where that is much more work of those asked about alone.
        """
        members = known.lists.members
        few = len(ids) < len(known.lists.starts) - 1 and len(members) > _FEW
        if is_by_rows(table) or (few and _PRICE * int(known.counts_of(ids).sum()) < len(members)):
            distinct, index = torch.unique(ids, return_inverse=True)
            starts, members = lists_of_rows(known.lists, distinct)
            return bag(table, starts, members), starts.diff(), index
        return known.once(f"sums {id(table)}", lambda: Rows(sums_of(table, known.lists))).values, known.counts, ids

"""A side by its history: the embeddings of what it met, summed."""

from torch import Tensor

from sif.encodings.base import Encoding, Known, Lookup
from sif.encodings.rows import Rows
from sif.encodings.sides import gather
from sif.encodings.sums import LeaveOneOut, bag, leave_one, scaled_bag

__all__ = ["History", "TiedHistory"]


class History(Encoding):
    """The sum of the embeddings of a list / (how many) ** power, zero where nothing is left."""

    name, formula = "history", "h{mark}({side})"

    def encode(self, table: Tensor, starts: Tensor, members: Tensor, power: float) -> Tensor:
        """Return scaled sums."""
        return scaled_bag(table, starts, members, power)

    def rows(self, table: Tensor, lookup: Lookup, known: Known) -> tuple[Rows, None]:
        """Return histories from whole sums, less what the lookup leaves out."""
        if lookup.others is not None and lookup.cuts is None:
            return self.without_one(table, lookup, known, None), None
        sums, counts, index = known.sums(table, lookup.ids)
        if lookup.others is None or lookup.cuts is None:
            rows = Rows(sums * known.scale(counts, table.dtype).unsqueeze(-1), index)
            return rows if len(index) >= len(sums) else Rows(rows.full()), None
        left = counts.index_select(0, index) - lookup.cuts.diff()
        values = gather(sums, index)[0] - bag(table, lookup.cuts, lookup.others)
        return Rows(values * known.scale(left, table.dtype).unsqueeze(-1)), None

    def without_one(self, table: Tensor, lookup: Lookup, known: Known, ids: Tensor | None) -> Rows:
        """Return the histories of a lookup whose rows leave out one entry each, plus rows of a table of `ids`."""
        assert lookup.others is not None
        sums, counts, index = known.sums(table, lookup.ids)
        left = counts.index_select(0, index) - (1 if lookup.known is None else lookup.known.to(counts.dtype))
        scale = known.scale(left, table.dtype)
        drop = scale if lookup.known is None else scale * lookup.known
        return Rows(leave_one(sums, table, ids, LeaveOneOut(lookup.ids, index, lookup.others, scale, drop)))


class TiedHistory(History):
    """A history whose embeddings are the ids of the other side: one table of items says what a user met and may get.

    FISM with p = q (Kabbur et al., KDD 2013, eq. 6); with the predicted item left out it is ELSA, whose items have
    unit norm besides (Vancura et al., RecSys 2022).
    """

    name, formula, tied = "tied-history", "t{mark}({side})", "other"

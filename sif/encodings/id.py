"""A side by who it is: an embedding of its own."""

from torch import Tensor

from nasp_core.rowwise import is_by_rows
from sif.encodings.base import Encoding, Known, Lookup
from sif.encodings.rows import Rows
from sif.encodings.sides import gather
from sif.encodings.sums import row_penalty

__all__ = ["Id"]


class Id(Encoding):
    """The row of a table. Of a new user it is solved for, from the mean of the table."""

    name, formula, own, whole = "id", "{vector}", True, True

    def rows(self, table: Tensor, lookup: Lookup, known: Known) -> tuple[Rows, Tensor | None]:
        """Return the rows and their penalty: the whole table where more rows are asked than it has."""
        if len(lookup.ids) < len(table) or is_by_rows(table):
            values, penalty = gather(table, lookup.ids, lookup.share)
            return Rows(values), None if lookup.share is None else penalty
        return Rows(table, lookup.ids), self.lookup_penalty(table, lookup)

    def lookup_penalty(self, table: Tensor, lookup: Lookup) -> Tensor | None:
        """Return the penalty of the rows of a lookup, a scalar."""
        if lookup.share is None:
            return None
        if is_by_rows(table):
            return gather(table, lookup.ids, lookup.share)[1]
        return row_penalty(Rows(table, lookup.ids), lookup.share)

    def penalty(self, table: Tensor) -> None:
        """Return none: rows are weighed by lookup alone."""

"""A side by its embedding and those around it in the graph of users and items (LightGCN)."""

from torch import Tensor

from sif.encodings.base import Encoding, Known, Lookup
from sif.encodings.id import Id
from sif.encodings.rows import Rows
from sif.encodings.sums import bag, sums_of
from sif.encodings.ties import Ties

__all__ = ["Propagated"]

_ID = Id()


class Propagated(Encoding):
    """The mean over layers 0 to K of ids propagated on the graph (He et al., LightGCN, SIGIR 2020, eq. 3 and 4).

    With P and Q the ids of the side and of the other, D their degrees and A the pairs, layer k of P is
    D^-1/2 A D^-1/2 times layer k - 1 of Q. So the mean is P / (K + 1) plus, of each row, the sum over its list /
    (how many) ** 0.5 of a table of the other side: D^-1/2 times the mean of layers 0 to K - 1, or `smoothed`.

    Pairs that are predicted stay in the graph, as published. A new user's own layer is solved for as an id is, and
    does not reach the others.
    """

    name, formula, tied, whole = "propagated", "n{mark}({side})", "both", True

    def encode(self, table: Tensor, starts: Tensor, members: Tensor, power: float) -> Tensor:
        """Return the sums of a smoothed table over lists / (how many) ** 0.5, without own rows."""
        return bag(table, starts, members) * starts.diff().clamp_min(1).to(table.dtype).rsqrt().unsqueeze(-1)

    def share(self, steps: int) -> float:
        """Return how much of the row of its own id a vector has."""
        return 1.0 / (steps + 1)

    def read(self, table: Tensor, known: Known) -> Tensor:
        """Return the smoothed table of the other side, float `[others, dim]`."""
        return table if known.ties is None else _smoothed(known.ties)

    def rows(self, table: Tensor, lookup: Lookup, known: Known) -> tuple[Rows, Tensor | None]:
        """Return the vectors of a lookup, and the penalty on the rows of the ids that are its own.

        Args:
            table: The other side's ids, float `[others, dim]`; without ties in `known` what `read` made of them, and
                vectors then lack their own rows.
            lookup: Which rows; what it leaves out is not left out.
            known: The lists of the side.
        """
        sums, counts, index = known.sums(self.read(table, known), lookup.ids)
        around = Rows(sums * counts.clamp_min(1).to(sums.dtype).rsqrt().unsqueeze(-1), index)
        if known.ties is None:
            return around, None
        ids, _ = known.ties.ids
        assert ids is not None
        own, penalty = _ID.rows(ids, lookup, known)
        return Rows(own.values * self.share(known.ties.steps), own.index) + around, penalty


def _smoothed(ties: Ties) -> Tensor:
    """Return the sum of layers 0 to K - 1 of the other side, each times D^-1/2, / (K + 1)."""

    def make() -> Rows:
        first, *rest = [_layer(ties, step) for step in range(ties.steps)]
        return Rows(sum(rest, first) * (1.0 / (ties.steps + 1)))

    return ties.made.once(f"smoothed {ties.names[1]}", make).values


def _layer(ties: Ties, step: int) -> Tensor:
    """Return D^-1/2 times a layer of the other side; with both factors of D at once layers are plain sums."""

    def make() -> Rows:
        ids, lists = ties.ids[1], ties.lists[1]
        assert ids is not None
        counts = lists.starts.diff().clamp_min(1).to(ids.dtype).unsqueeze(-1)
        return Rows(sums_of(_layer(ties.turned(), step - 1), lists) / counts if step else ids * counts.rsqrt())

    return ties.made.once(f"layer {step} {ties.names[1]}", make).values

"""How a wide network encodes one side: by an id, by the embeddings of its history, or by the sum of both."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sif.encodings.rows import Rows
from sif.encodings.sides import gather
from sif.encodings.sums import Left, Lists, bag, leave_one, lists_of_rows, row_penalty, sums_of

__all__ = ["Ask", "Encoding", "SideEncoder", "bag"]

_FEW = 1 << 16  # so few pairs are summed whole without a further look
_PRICE = 4  # what a pair of some rows costs, in pairs of all rows: their lists are cut out, and sorted to go back


class Ask(NamedTuple):
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


class SideEncoder(nn.Module):
    """The embeddings of one side in one branch: `id` `[rows, dim]`, and `history` `[others, dim]`, of the other side.

    A history is the sum of the embeddings of its entries / (how many) ** power, zero where nothing is left.
    """

    def __init__(self, rows: int, others: int, dim: int, encodings: tuple[str, ...], power: float) -> None:
        super().__init__()
        self.size, self.power = rows, power
        with_id = any(name != "history" for name in encodings)
        self.id = nn.Parameter(torch.zeros(rows, dim)) if with_id else None
        self.history = nn.Parameter(torch.zeros(others, dim)) if any(name != "id" for name in encodings) else None

    @torch.no_grad()
    def reset(self, std: float, generator: torch.Generator) -> None:
        """Draw the embeddings N(0, std^2)."""
        for parameter in self.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)

    def ids(self, ask: Ask) -> tuple[Rows, Tensor | None]:
        """Return id rows and their penalty (without l2): the whole table where more rows are asked than it has."""
        assert self.id is not None
        if len(ask.ids) < self.size:
            values, penalty = gather(self.id, ask.ids, ask.share)
            return Rows(values), None if ask.share is None else penalty
        rows = Rows(self.id, ask.ids)
        return rows, None if ask.share is None else row_penalty(rows, ask.share)

    def histories(self, ask: Ask, sums: Tensor, counts: Tensor, index: Tensor) -> Rows:
        """Return encoded histories, from whole sums and their counts.

        Row i of the ask is `sums[index[i]]` of `counts[index[i]]` entries, less what it leaves out.
        """
        assert self.history is not None
        if ask.others is not None and ask.cuts is None:
            return self.without_one(ask, sums, counts, index, with_id=False)
        if ask.others is None or ask.cuts is None:
            rows = Rows(sums * self.scale(counts).unsqueeze(-1), index)
            return rows if len(index) >= len(sums) else Rows(rows.full())
        left = counts.index_select(0, index) - ask.cuts.diff()
        values = gather(sums, index)[0] - bag(self.history, ask.cuts, ask.others)
        return Rows(values * self.scale(left).unsqueeze(-1))

    def without_one(self, ask: Ask, sums: Tensor, counts: Tensor, index: Tensor, *, with_id: bool) -> Rows:
        """Return the same for an ask whose rows leave out one entry each, plus the id rows or not."""
        assert self.history is not None
        assert ask.others is not None
        left = counts.index_select(0, index) - (1 if ask.known is None else ask.known.to(counts.dtype))
        scale = self.scale(left)
        drop = scale if ask.known is None else scale * ask.known
        what = Left(ask.ids, index, ask.others, scale, drop)
        return Rows(leave_one(sums, self.history, self.id if with_id else None, what))

    def id_penalty(self, ask: Ask) -> Tensor | None:
        """Return the penalty of the id rows asked about (without l2), a scalar."""
        assert self.id is not None
        return None if ask.share is None else row_penalty(Rows(self.id, ask.ids), ask.share)

    def history_penalty(self) -> Tensor:
        """Return the penalty of what histories are made of (without l2): the mean of ||row||^2 over the table."""
        assert self.history is not None
        return self.history.square().sum() / max(1, len(self.history))

    def scale(self, counts: Tensor) -> Tensor:
        """Return counts ** -power `[n]` in the table's dtype, 0 where nothing is counted."""
        assert self.history is not None
        return torch.where(counts > 0, counts.clamp_min(1).to(self.history.dtype) ** -self.power, 0.0)

    def of_members(self, encoding: str, members: Tensor, starts: Tensor) -> Tensor:
        """Return vectors `[n, dim]` of rows known by their members alone; an id part is the mean of the table."""
        parts = []
        if encoding != "history":
            assert self.id is not None
            parts.append(self.id.mean(0).expand(len(starts) - 1, -1))
        if encoding != "id":
            assert self.history is not None
            parts.append(bag(self.history, starts, members) * self.scale(starts.diff()).unsqueeze(-1))
        return sum(parts[1:], parts[0])


class Encoding:
    """One side of one branch in one forward pass: what several candidates and several asks share is made once.

    The penalties of what was made gather in `penalties`.
    """

    def __init__(self, encoder: SideEncoder, lists: Lists) -> None:
        self.encoder, self.lists, self.counts = encoder, lists, lists.starts.diff()
        self.penalties: list[Tensor] = []
        self._made: dict[tuple[str, bool], Rows] = {}
        self._asks: list[Ask] = []
        self._weighed = False

    def rows(self, name: str, ask: Ask) -> Rows:
        """Return the rows of an encoding by its name."""
        if name == "id+history" and ask.others is not None and ask.cuts is None:
            self._weigh(ask, self.encoder.id_penalty(ask), history=True)
            return self.encoder.without_one(ask, *self._sums(ask.ids), with_id=True)
        return self._parts(name, ask)

    def full(self, name: str, ask: Ask) -> Tensor:
        """Return the same, gathered: `[r, dim]`; parts of sums are made one by one, and serve other candidates."""
        return self._parts(name, ask).full()

    def _parts(self, name: str, ask: Ask) -> Rows:
        parts = [self._part(kind, ask) for kind in name.split("+")]
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def _part(self, kind: str, ask: Ask) -> Rows:
        at = next((i for i, each in enumerate(self._asks) if each is ask), len(self._asks))
        if at == len(self._asks):
            self._asks.append(ask)
        return self._once(f"{kind} {at}", partial(self._make, kind, ask))

    def _make(self, kind: str, ask: Ask) -> Rows:
        if kind == "id":
            rows, penalty = self.encoder.ids(ask)
            self._weigh(ask, penalty, history=False)
            return rows
        self._weigh(ask, None, history=True)
        return self.encoder.histories(ask, *self._sums(ask.ids))

    def _weigh(self, ask: Ask, of_ids: Tensor | None, *, history: bool) -> None:
        """Keep a penalty of id rows, and with `history` that of the history table, which counts once."""
        if of_ids is not None:
            self.penalties.append(of_ids)
        if history and ask.share is not None and not self._weighed:
            self._weighed = True
            self.penalties.append(self.encoder.history_penalty())

    def _sums(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return sums of whole histories, their counts, and where among them each of `ids` is.

        Of all rows, or where that is much more work of those asked about alone.
        """
        table, members = self.encoder.history, self.lists.members
        assert table is not None
        few = len(ids) < self.encoder.size and len(members) > _FEW
        if few and _PRICE * int(self.counts.index_select(0, ids).sum()) < len(members):
            distinct, index = torch.unique(ids, return_inverse=True)
            starts, members = lists_of_rows(self.lists, distinct)
            return bag(table, starts, members), starts.diff(), index
        return self._once("sums", lambda: Rows(sums_of(table, self.lists))).values, self.counts, ids

    def _once(self, key: str, make: Callable[[], Rows]) -> Rows:
        """Make rows, or take those already made; within no_grad those made with a graph serve too, without it."""
        graph = torch.is_grad_enabled()
        if not graph and (key, True) in self._made:
            made = self._made[key, True]
            return Rows(made.values.detach(), made.index)
        if (key, graph) not in self._made:
            self._made[key, graph] = make()
        return self._made[key, graph]

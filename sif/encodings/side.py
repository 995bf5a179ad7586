"""How a wide network encodes one side: the tables of its encodings, and one forward pass over them."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from nasp_core.rowwise import is_by_rows
from sif.encodings import ENCODINGS, HISTORY, ID, encoding, parts_of
from sif.encodings.base import Known, Lookup
from sif.encodings.rows import Rows
from sif.encodings.sums import CSR
from sif.encodings.ties import Once, Ties

__all__ = ["SIDES", "Side", "SideEncoder", "SidePass", "SideTables", "branch_passes", "ids_read"]

Side = Literal["user", "item"]
SIDES: tuple[Side, Side] = ("user", "item")


class SideTables(NamedTuple):
    """What the vectors of one side are made of: a table per encoding, by its name; they are summed.

    `share`: how much of the row of the table `id` is in the sum.
    """

    tables: Mapping[str, Tensor]
    power: float = 1.0
    half_life: float = math.inf
    share: float = 1.0


def ids_read(candidates: Sequence[Sequence[str]], side: int) -> set[int]:
    """Return whose id tables the candidates of a side read in a branch: 0 of the users, 1 of the items.

    Args:
        candidates: Of users and of items.
        side: Whose candidates.
    """
    made = [encoding(part) for name in candidates[side] for part in parts_of(name)]
    own = {side for each in made if each.own or each.tied == "both"}
    return own | {1 - side for each in made if each.tied}


class SideEncoder(nn.Module):
    """The embeddings of one side in one branch: a table per encoding that the candidates name, under its name.

    `id` is `[rows, dim]`, others (`history`) `[others, dim]`, of the other side; None where no candidate has them.
    `tied` names the candidates that have none: they read id tables.
    """

    def __init__(
        self, rows: int, others: int, dim: int, candidates: tuple[str, ...], power: float, half_life: float = math.inf
    ) -> None:
        super().__init__()
        self.power, self.half_life = power, half_life
        wanted = {part for name in candidates for part in parts_of(name)}
        self.tied = sorted(name for name in wanted if encoding(name).tied)
        wanted -= {*self.tied}
        self.names = [*ENCODINGS, *sorted(wanted - ENCODINGS.keys())]
        for name in self.names:
            size = rows if encoding(name).own else others
            self.register_parameter(_key(name), nn.Parameter(torch.zeros(size, dim)) if name in wanted else None)

    @property
    def tables(self) -> dict[str, nn.Parameter]:
        """The tables by the name of the encoding."""
        found = {name: getattr(self, _key(name)) for name in self.names}
        return {name: table for name, table in found.items() if table is not None}

    @torch.no_grad()
    def reset(self, std: float, generator: torch.Generator) -> None:
        """Draw the embeddings N(0, std^2)."""
        for parameter in self.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)


def _key(name: str) -> str:
    return name.replace(".", "/")


class SidePass:
    """One side of one branch in one forward pass: what several candidates and several lookups share is made once.

    The penalties of what was made gather in `penalties`.
    """

    def __init__(
        self,
        tables: Mapping[str, Tensor],
        lists: CSR,
        power: float,
        half_life: float = math.inf,
        ties: Ties | None = None,
    ) -> None:
        self.tables, self.known = tables, Known(lists, power, half_life, ties)
        self.penalties: list[Tensor] = []
        self._lookups: list[Lookup] = []
        self._weighed: set[str] = set()

    def rows(self, name: str, lookup: Lookup) -> Rows:
        """Return the rows of a candidate by its name."""
        if name == "id+history" and lookup.others is not None and lookup.cuts is None:
            ids = self.tables[ID.name]
            of_ids = ID.lookup_penalty(ids, lookup)
            self.penalties += [] if of_ids is None else [of_ids]
            self._weigh(HISTORY.name, lookup)
            return HISTORY.without_one(self.tables[HISTORY.name], lookup, self.known, ids)
        return self._sum(name, lookup)

    def full(self, name: str, lookup: Lookup) -> Tensor:
        """Return the same, gathered: `[r, dim]`; parts of sums are made one by one, and serve other candidates."""
        return self._sum(name, lookup).full()

    def _sum(self, name: str, lookup: Lookup) -> Rows:
        first, *rest = [self._part(part, lookup) for part in parts_of(name)]
        for part in rest:
            first = first + part
        return first

    def _part(self, name: str, lookup: Lookup) -> Rows:
        at = next((i for i, each in enumerate(self._lookups) if each is lookup), len(self._lookups))
        if at == len(self._lookups):
            self._lookups.append(lookup)
        return self.known.once(f"{name} {at}", partial(self._make, name, lookup))

    def _make(self, name: str, lookup: Lookup) -> Rows:
        self._weigh(name, lookup)  # first: the order of a graph is that in which gradients are summed
        rows, penalty = encoding(name).rows(self.tables[name], lookup, self.known)
        self.penalties += [] if penalty is None else [penalty]
        return rows

    def _weigh(self, name: str, lookup: Lookup) -> None:
        """Keep the penalty of a whole table, which counts once."""
        by_rows = is_by_rows(self.tables[name]) and not encoding(name).own  # the optimiser has its penalty
        if lookup.share is not None and name not in self._weighed and not by_rows:
            self._weighed.add(name)
            whole = encoding(name).penalty(self.tables[name])
            self.penalties += [] if whole is None else [whole]


def branch_passes(encoders: Sequence[SideEncoder], lists: Sequence[CSR], steps: int) -> list[SidePass]:
    """Return the passes of users and of items in a branch; they share what is made of the id tables of both.

    Args:
        encoders: Of users and of items.
        lists: What each user and what each item knows.
        steps: Of propagation.
    """
    own = [encoder.tables for encoder in encoders]
    users, items = (tables.get(ID.name) for tables in own)
    ties = Ties((users, items), (lists[0], lists[1]), steps, SIDES, Once())
    made = []
    for side, (encoder, seen) in enumerate(zip(encoders, (ties, ties.turned()), strict=True)):
        others = seen.ids[1]
        tables = own[side] | ({} if others is None else dict.fromkeys(encoder.tied, others))
        made.append(SidePass(tables, lists[side], encoder.power, encoder.half_life, seen))
    return made

"""Histories whose entries have weights: the ratings of what was met, or how long ago it was."""

from typing import NamedTuple

import torch
from torch import Tensor

from sif.encodings.base import Encoding, Known, Lookup
from sif.encodings.rows import Rows
from sif.encodings.sides import gather
from sif.encodings.sums import CSR, lists_of, places_of_rows, scaled_bag, weighted_sums

__all__ = ["DecayedHistory", "ValueHistory", "WeightedHistory"]


_MOST_HALVES = 30.0


class _Weights(NamedTuple):
    """The weight of each entry of lists, and back; and what each entry adds to the mass of its row, None: 1."""

    each: Tensor
    back: Tensor
    mass: Tensor | None


class WeightedHistory(Encoding):
    """The sum of the embeddings of a list, each times a weight, / (mass of the list) ** power.

    What is left out of a list is subtracted from its whole sum, and its mass from that of the list.
    """

    def weights(self, lists: CSR, half_life: float) -> _Weights:
        """Return the weights of the entries."""
        raise NotImplementedError

    def encode(self, table: Tensor, starts: Tensor, members: Tensor, power: float) -> Tensor:
        """Return what lists come to of whose entries nothing is known: all weights are 1."""
        return scaled_bag(table, starts, members, power)

    def rows(self, table: Tensor, lookup: Lookup, known: Known) -> tuple[Rows, None]:
        """Return the vectors of a lookup.

        Args:
            table: Embeddings of the other side, float `[others, dim]`.
            lookup: Which rows, and what is left out of their lists.
            known: The lists of the side.
        """
        made: _Weights = known.kept(self.name, lambda: self.weights(known.lists, known.half_life))
        sums, masses, counts, index = self._sums(table, lookup.ids, known, made)
        if lookup.others is None:
            rows = Rows(sums * _scale(masses, counts, known.power, table.dtype).unsqueeze(-1), index)
            return rows if len(index) >= len(sums) else Rows(rows.full()), None
        rows_of, cuts, keep = _left_out(lookup)
        places = known.places(rows_of, lookup.others)
        weights = made.each.index_select(0, places) * keep
        mass = keep if made.mass is None else made.mass.index_select(0, places) * keep
        owner = torch.repeat_interleave(torch.arange(len(lookup.ids), device=cuts.device), cuts.diff())
        zeros = masses.new_zeros(len(lookup.ids))
        left = masses.index_select(0, index) - zeros.index_add(0, owner, mass.to(zeros.dtype))
        number = counts.index_select(0, index) - zeros.index_add(0, owner, keep.to(zeros.dtype)).round().long()
        away = lists_of(cuts, lookup.others, len(table), weights)
        assert away.values is not None
        assert away.back_values is not None
        values = gather(sums, index)[0] - weighted_sums(table, away, away.values, away.back_values)
        return Rows(values * _scale(left, number, known.power, table.dtype).unsqueeze(-1)), None

    def _sums(self, table: Tensor, ids: Tensor, known: Known, made: _Weights) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return whole sums, masses and counts of all rows or of those asked about, and where among them each id is."""
        lists = known.lists
        if known.few(ids):
            distinct, index = torch.unique(ids, return_inverse=True)
            starts, places = places_of_rows(lists, distinct)
            some = lists_of(starts, lists.members[places], len(table), made.each[places])
            assert some.values is not None
            assert some.back_values is not None
            counts = starts.diff()
            mass = None if made.mass is None else made.mass[places]
            return weighted_sums(table, some, some.values, some.back_values), _masses(counts, mass), counts, index
        sums = known.once(
            f"{self.name} sums {id(table)}", lambda: Rows(weighted_sums(table, lists, made.each, made.back))
        ).values
        masses = known.kept(f"{self.name} masses", lambda: _masses(known.counts, made.mass))
        return sums, masses, known.counts, ids


class ValueHistory(WeightedHistory):
    """The ratings of a list times the embeddings of what was rated, summed, / (how many) ** power.

    The weights are the ratings in standard units: those of a user as asymmetric SVD has them (Koren, KDD 2008, eq. 13,
    with one baseline for all); those of an item, under a sigmoid, as I-AutoRec's hidden layer (Sedhain et al., WWW
    2015, eq. 1, its bias aside). Where rows have no ratings, each counts 1.
    """

    name, formula, needs = "value-history", "r{mark}({side})", "values"

    def weights(self, lists: CSR, half_life: float) -> _Weights:
        """Return the ratings."""
        each = torch.ones(len(lists.members), device=lists.members.device) if lists.values is None else lists.values
        return _Weights(each, each if lists.back_values is None else lists.back_values, None)


class DecayedHistory(WeightedHistory):
    """The embeddings of a list, an entry's weight halving with its age, summed, / (sum of the weights) ** power.

    Ages count from the newest entry of the list, which weighs 1; none weighs less than 2^-30, so that what is left
    without it is a number still. A new user's entries have no times: each weighs 1.
    """

    name, formula, needs = "decayed-history", "d{mark}({side})", "ages"

    def rows(self, table: Tensor, lookup: Lookup, known: Known) -> tuple[Rows, None]:
        """Return the vectors of a lookup, in float64 inside: what is left out may have had nearly all the weight."""
        whole = known.once(f"{self.name} {id(table)}", lambda: Rows(table.double())).values
        made, _ = super().rows(whole, lookup, known)
        return Rows(made.values.to(table.dtype), made.index), None

    def weights(self, lists: CSR, half_life: float) -> _Weights:
        """Return 2 ** -(age / half-life)."""
        if lists.ages is None or lists.back_ages is None:
            ones = torch.ones(len(lists.members), device=lists.members.device)
            return _Weights(ones, ones, None)
        rows = torch.arange(len(lists.starts) - 1, device=lists.starts.device).repeat_interleave(lists.starts.diff())
        newest = lists.ages.new_zeros(len(lists.starts) - 1)
        newest = newest.scatter_reduce(0, rows, lists.ages, "amin", include_self=False)
        each = _halved(lists.ages - newest[rows], half_life)
        return _Weights(each, _halved(lists.back_ages - newest[lists.back_members], half_life), each)


def _halved(ages: Tensor, half_life: float) -> Tensor:
    """Return 2 ** -(age / half-life), float64, from 2^-30 up."""
    return torch.exp2(-(ages.double() / half_life).clamp_max(_MOST_HALVES))


def _left_out(lookup: Lookup) -> tuple[Tensor, Tensor, Tensor]:
    """Return of each pair that is left out the row `[h]`, where the pairs of a row begin `[r + 1]`, and 1 or 0 `[h]`.

    0 stands for a pair that the list does not have.
    """
    assert lookup.others is not None
    if lookup.cuts is not None:
        return (
            lookup.ids.repeat_interleave(lookup.cuts.diff()),
            lookup.cuts,
            torch.ones(len(lookup.others), device=lookup.ids.device),
        )
    cuts = torch.arange(len(lookup.ids) + 1, device=lookup.ids.device)
    known = torch.ones(len(lookup.ids), device=cuts.device) if lookup.known is None else lookup.known.float()
    return lookup.ids, cuts, known


def _masses(counts: Tensor, mass: Tensor | None) -> Tensor:
    if mass is None:
        return counts.float()
    rows = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    return mass.new_zeros(len(counts)).index_add_(0, rows, mass)


def _scale(masses: Tensor, counts: Tensor, power: float, dtype: torch.dtype) -> Tensor:
    """Return masses ** -power `[n]`, 0 where nothing is counted."""
    return torch.where(counts > 0, masses.clamp_min(1e-12).to(dtype) ** -power, 0.0)

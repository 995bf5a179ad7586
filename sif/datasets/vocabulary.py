"""Raw ids of users, items and contexts, and the numbers 0..n-1 that stand for them inside."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nasp_core.errors import nearest
from sif.datasets.ids import other_form, plain_integers, series_of, typed_ids
from sif.errors import DataError

__all__ = ["RawId", "Vocabulary"]

RawId = int | str
IntArray = NDArray[np.int64]

_BLOCK = 1 << 22  # ids that are looked up at once, so that what it takes on the way stays small


class Vocabulary:
    """A sorted, duplicate-free list of raw ids of one type (int or str), with both directions vectorised.

    The order is that of the ids (integers by value, text by code point), so the mapping does not depend on the
    order of the rows it was learnt from. A mix of integers and text becomes text: 7 and "7" are then one id.
    """

    __slots__ = ("_categories", "_ids")

    def __init__(self, ids: Iterable[Any]) -> None:
        """Learn the ids; nulls, lists and other objects are not ids (DataError)."""
        series = _ids(ids)
        if series.null_count():
            raise DataError(f"a vocabulary cannot hold missing ids ({series.null_count()} of {len(series)} are null)")
        blocks = [series.slice(start, _BLOCK).unique() for start in range(0, len(series), _BLOCK)]
        self._ids = (pl.concat(blocks) if len(blocks) > 1 else series).unique().sort()
        self._categories = pl.Enum(self._ids) if self._ids.dtype == pl.String else None

    @property
    def kind(self) -> Literal["int", "str"]:
        """The type of the raw ids."""
        return "str" if self._categories is not None else "int"

    def __len__(self) -> int:
        return len(self._ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.kind == other.kind and self._ids.equals(other._ids)

    def __hash__(self) -> int:
        return hash((self.kind, len(self), *self._ids.head(3).to_list()))

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} {self.kind} ids)"

    def encode(self, ids: Iterable[Any]) -> IntArray:
        """Return int64 [len(ids)]: the number of each raw id, -1 where it is unknown.

        An id is found in any form: 7, 7.0, "7", "7.0" and b"7" find each other, where no other id is written just so.
        """
        series = _ids(ids)
        codes = np.empty(len(series), np.int64)
        for start in range(0, len(series), _BLOCK):
            codes[start : start + _BLOCK] = self._codes(series.slice(start, _BLOCK))
        return codes

    def _codes(self, series: pl.Series) -> IntArray:
        if self._categories is not None:
            texts = series.cast(pl.String)
            codes = self._of_text(texts)
            if codes.null_count():
                codes = pl.select(pl.coalesce(codes, self._of_text(other_form(texts)))).to_series()
            return codes.fill_null(-1).to_numpy()
        if series.dtype == pl.String:
            series = plain_integers(series.str.strip_suffix(".0"))
        places = _places(self._ids.to_numpy(), series.fill_null(0).to_numpy())
        return np.where(series.is_not_null().to_numpy(), places, -1) if series.null_count() else places

    def _of_text(self, texts: pl.Series) -> pl.Series:
        assert self._categories is not None
        return texts.cast(self._categories, strict=False).to_physical().cast(pl.Int64)

    def decode(self, indices: Sequence[int] | IntArray) -> list[RawId]:
        """Return the raw ids (native int or str) of the numbers; a number outside 0..n-1 raises DataError."""
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        outside = wanted[(wanted < 0) | (wanted >= len(self))]
        if len(outside):
            raise DataError(f"no raw id has the number {outside[0]}: this vocabulary holds 0 to {len(self) - 1}")
        found: list[RawId] = self._ids.gather(pl.Series(wanted, dtype=pl.Int64)).to_list()
        return found

    def find(self, text: str, what: str = "id") -> int:
        """Return the number of an id ("42" finds the integer 42).

        Args:
            text: The id as typed.
            what: `user` or `item`, for the message.

        Raises:
            DataError: There is none; with the nearest ids.
        """
        for form in (text, text.strip()):
            if (number := int(self.encode([form])[0])) >= 0:
                return number
        if not len(self):
            raise DataError(f'{what} "{text}" is unknown: there are no {what}s')
        raise DataError(f'{what} "{text}" is unknown\n  {self._nearest(text.strip(), what)}')

    def _nearest(self, text: str, what: str) -> str:
        first, last = self._ids[0], self._ids[-1]
        if self.kind == "int":
            reach = f"The {len(self)} {what}s have integer ids from {first} to {last}"
            number = plain_integers(pl.Series([text], dtype=pl.String))[0]
            if number is None:
                return f"{reach}; give one of them."
            place = int(np.searchsorted(self._ids.to_numpy(), number))
            near = self._ids.slice(max(place - 1, 0), 2).to_list()
            return f"{reach}. Nearest: {', '.join(map(str, near))}."
        close = nearest(text, self._ids.to_list(), count=3)
        if close:
            return f"Did you mean {close}?"
        return f"The {len(self)} {what}s have ids such as {', '.join(self._ids.head(3).to_list())}; give one of them."

    def blocks(self) -> Iterator[list[RawId]]:
        """Yield the raw ids in order, as `to_list` gives them, a part at a time."""
        for start in range(0, len(self), _BLOCK >> 6):
            yield self._ids.slice(start, _BLOCK >> 6).to_list()

    def to_list(self) -> list[RawId]:
        """Return the raw ids in order, as native ints or strs (ready for JSON)."""
        ids: list[RawId] = self._ids.to_list()
        return ids

    @classmethod
    def from_list(cls, ids: Sequence[RawId]) -> "Vocabulary":
        """Rebuild from `to_list()`; raises DataError where the list is not sorted and free of repeats."""
        listed: list[Any] = list(ids)
        kinds = {type(each) for each in listed}
        if len(kinds) > 1 or not kinds <= {int, str} or any(after <= one for one, after in pairwise(listed)):
            raise DataError(
                "these ids are not a saved vocabulary: they must be sorted, of one type, and without repeats"
            )
        made = cls.__new__(cls)  # without sorting: polars' threads are not there in a forked process, and it would hang
        made._ids = pl.Series("ids", listed, dtype=pl.String if str in kinds else pl.Int64)
        made._categories = pl.Enum(made._ids) if str in kinds else None
        return made


def _places(known: IntArray, wanted: IntArray) -> IntArray:
    """Where each wanted integer stands in the sorted known ones, or -1."""
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    first, last = int(known[0]), int(known[-1])
    if last - first > 8 * len(known) + 1024:
        place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return np.where(known[place] == wanted, place, -1).astype(np.int64, copy=False)
    # Ids that lie close together are looked up in a table, several times as fast as by bisection.
    table = np.full(last - first + 1, -1, np.int64)
    table[known - first] = np.arange(len(known))
    inside = (wanted >= first) & (wanted <= last)
    if inside.all():
        return table[wanted - first]
    return np.where(inside, table[np.where(inside, wanted, first) - first], -1)


def _ids(ids: Iterable[Any]) -> pl.Series:
    found = typed_ids(series_of(ids))
    for why in found.refused.values():
        raise DataError(why)
    return found.series

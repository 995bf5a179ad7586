"""Raw ids of users, items and contexts, and the numbers 0..n-1 that stand for them inside."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sif.errors import DataError

__all__ = ["RawId", "Vocabulary", "typed_ids"]

RawId = int | str
IntArray = NDArray[np.int64]

_BLOCK = 1 << 22  # ids that are looked up at once, so that what it takes on the way stays small
_EXACT_FLOAT = 2**53  # beyond it a float no longer names one integer


class Vocabulary:
    """A sorted, duplicate-free list of raw ids of one type (int or str), with both directions vectorised.

    The order is that of the ids (integers by value, text by code point), so the mapping does not depend on the
    order of the rows it was learnt from. A mix of integers and text becomes text: 7 and "7" are then one id.
    """

    __slots__ = ("_categories", "_ids")

    def __init__(self, ids: Iterable[Any]) -> None:
        """Learn the ids; nulls are not ids (DataError)."""
        series = typed_ids(ids if isinstance(ids, pl.Series) else _series(ids))
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

        An integer finds its text form in a vocabulary of text, and the other way round.
        """
        series = typed_ids(ids if isinstance(ids, pl.Series) else _series(ids))
        codes = np.empty(len(series), np.int64)
        for start in range(0, len(series), _BLOCK):
            codes[start : start + _BLOCK] = self._codes(series.slice(start, _BLOCK))
        return codes

    def _codes(self, series: pl.Series) -> IntArray:
        if self._categories is not None:
            codes = series.cast(pl.String).cast(self._categories, strict=False).to_physical()
            return codes.cast(pl.Int64).fill_null(-1).to_numpy()
        if series.dtype == pl.String:
            series = _plain_integers(series)
        places = _places(self._ids.to_numpy(), series.fill_null(0).to_numpy())
        return np.where(series.is_not_null().to_numpy(), places, -1) if series.null_count() else places

    def decode(self, indices: Sequence[int] | IntArray) -> list[RawId]:
        """Return the raw ids (native int or str) of the numbers; a number outside 0..n-1 raises DataError."""
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        outside = wanted[(wanted < 0) | (wanted >= len(self))]
        if len(outside):
            raise DataError(f"no raw id has the number {outside[0]}: this vocabulary holds 0 to {len(self) - 1}")
        found: list[RawId] = self._ids.gather(pl.Series(wanted, dtype=pl.Int64)).to_list()
        return found

    def find(self, text: str, what: str = "id") -> int:
        """Return the number of the id typed as `text` ("42" finds the integer 42).

        Raises DataError that names the nearest ids when there is none; `what` ("user", "item") words it.
        """
        number = int(self.encode([text.strip()])[0])
        if number >= 0:
            return number
        if not len(self):
            raise DataError(f'{what} "{text}" is unknown: there are no {what}s')
        raise DataError(f'{what} "{text}" is unknown\n  {self._nearest(text.strip(), what)}')

    def _nearest(self, text: str, what: str) -> str:
        first, last = self._ids[0], self._ids[-1]
        if self.kind == "int":
            reach = f"The {len(self)} {what}s have integer ids from {first} to {last}"
            number = _plain_integers(pl.Series([text], dtype=pl.String))[0]
            if number is None:
                return f"{reach}; give one of them."
            place = int(np.searchsorted(self._ids.to_numpy(), number))
            near = self._ids.slice(max(place - 1, 0), 2).to_list()
            return f"{reach}. Nearest: {', '.join(map(str, near))}."
        close = difflib.get_close_matches(text, self._ids.to_list(), n=3, cutoff=0.6)
        if close:
            return f"Did you mean {' or '.join(close)}?"
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
        made = cls(ids)
        if made.to_list() != list(ids):
            raise DataError(
                "these ids are not a saved vocabulary: they must be sorted, of one type, and without repeats"
            )
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


def _series(ids: Iterable[Any]) -> pl.Series:
    """Any sequence as a polars series; what polars would guess at (mixed objects) goes through Python once."""
    if isinstance(ids, np.ndarray) and ids.dtype != object and ids.dtype.kind not in "US":
        return pl.Series("ids", ids)
    values = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    values = [None if value is None or value != value else value for value in values]
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        fits = all(-(2**63) <= value < 2**63 for value in values)
        return pl.Series(
            "ids", values if fits else [str(value) for value in values], dtype=pl.Int64 if fits else pl.String
        )
    if all(isinstance(value, float | int) or value is None for value in values):
        return pl.Series("ids", values, dtype=pl.Float64 if any(isinstance(v, float) for v in values) else None)
    return pl.Series("ids", [None if value is None else str(value) for value in values], dtype=pl.String)


def typed_ids(series: pl.Series) -> pl.Series:
    """Return the ids as Int64 (any integer that fits, floats without a fraction) or String (all else); nulls stay."""
    dtype = series.dtype
    if dtype == pl.Int64 or dtype == pl.String:
        return series
    if dtype == pl.Object:
        return typed_ids(_series(series.to_list()))
    if dtype == pl.Null:
        return series.cast(pl.Int64)
    if dtype.is_integer():
        whole = series.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == series.null_count() else series.cast(pl.String)
    if dtype.is_float():
        series = series.fill_nan(None)
        if bool(((series == series.round()) & (series.abs() < _EXACT_FLOAT)).all()):
            return series.cast(pl.Int64)
    return series.cast(pl.String)


def _plain_integers(texts: pl.Series) -> pl.Series:
    """Int64 where the text is an integer as Python would write it ("7", "-7"; not "07", "7.0"), null elsewhere."""
    numbers = texts.cast(pl.Int64, strict=False)
    return numbers.set(numbers.cast(pl.String) != texts, None)


def ids_from_text(texts: pl.Series) -> pl.Series:
    """Ids read from a text file: Int64 when every one is a plainly written integer that fits, else the text itself.

    "007" stays text, because 7 would not be written back as it came. A column where every id ends in ".0" (pandas
    writes integers so beside a missing value) is read as integers.
    """
    numbers = _plain_integers(texts)
    if numbers.null_count() == texts.null_count():
        return numbers
    numbers = _plain_integers(texts.str.strip_suffix(".0"))
    whole = numbers.null_count() == texts.null_count() and bool(texts.str.ends_with(".0").all())
    return numbers if whole else texts

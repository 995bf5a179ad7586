"""What stands in a column of ids, as whole numbers or text: one id is one, in whatever form a source writes it."""

import datetime
import decimal
import uuid
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import polars as pl

__all__ = ["Ids", "ids_from_text", "one_form", "other_form", "plain_integers", "series_of", "typed_ids"]

_DIGITS = 53  # binary digits of a float: from 2**53 on it no longer names one integer
EXACT_FLOAT = 2**_DIGITS
_LOSSY = r"^\d(\.\d+)?[eE]\+\d\d$"  # how spreadsheets and floats write large integers
_AS_TEXT = (uuid.UUID, datetime.date)  # a datetime is a date
_FLOAT = "is a float beyond 2**{}, which no longer names one whole number. Read the column as text (dtype=str)"


class Ids(NamedTuple):
    """Int64 or String, null where there is no id; row -> what is wrong there and the fix; and notes."""

    series: pl.Series
    refused: Mapping[int, str] = MappingProxyType({})
    notes: tuple[str, ...] = ()


def typed_ids(raw: pl.Series) -> Ids:
    """Return the ids of a typed column: Int64 where all are whole numbers that fit, else the text of each.

    Floats without a fraction are whole numbers, bytes are text, NaN is missing; lists and other objects are refused.
    """
    dtype = raw.dtype
    if dtype == pl.Int64:
        return Ids(raw)
    if dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum):
        return Ids(raw.cast(pl.String))
    if dtype.is_integer() or dtype == pl.Null or (isinstance(dtype, pl.Decimal) and dtype.scale == 0):
        whole = raw.cast(pl.Int64, strict=False)
        return Ids(whole if whole.null_count() == raw.null_count() else raw.cast(pl.String))
    if dtype.is_float():
        return _floats(raw.fill_nan(None))
    return _objects(raw.to_list())


def ids_from_text(texts: pl.Series) -> Ids:
    """Return the ids of a text file: Int64 when every one is a plainly written integer that fits, else the text itself.

    "007" stays text, because 7 would not be written back as it came. "7.0" is 7 where all are whole numbers: pandas
    writes integers so beside a missing value.
    """
    numbers = plain_integers(texts)
    if numbers.null_count() == texts.null_count():
        return Ids(numbers)
    found = one_form(Ids(texts))
    numbers = plain_integers(found.series.str.strip_suffix(".0"))
    if numbers.null_count() > texts.null_count():
        return found
    pointed = texts.str.ends_with(".0").fill_null(False)
    notes = [] if bool((pointed | texts.is_null()).all()) else [_BOTH]
    if bool((pointed & (numbers.abs() >= EXACT_FLOAT)).any()):
        notes.append("large ids are written as floats, which may have made one of several: write them as integers")
    return Ids(numbers, {}, tuple(notes))


_BOTH = 'ids are written with and without ".0", and read as whole numbers'


def one_form(found: Ids) -> Ids:
    """Return the ids of a whole column, whole numbers in one form, with notes on what may be one id in two forms."""
    texts = found.series
    if texts.dtype != pl.String:
        return found
    notes = []
    pointed = texts.filter(texts.str.ends_with(".0")).unique()
    twice = pointed.filter(pointed.str.strip_suffix(".0").is_in(texts.unique().implode())) if len(pointed) else pointed
    if len(twice):
        whole = texts.str.strip_suffix(".0")
        if plain_integers(whole).null_count() == texts.null_count():
            return Ids(whole, found.refused, (_BOTH,))
        first = str(twice.sort()[0])
        notes.append(f'both "{first}" and "{first[:-2]}" stand there, and are two ids')
    lossy = texts.filter(texts.str.contains(_LOSSY))
    if len(lossy):
        notes.append(f'ids such as "{lossy[0]}" are rounded numbers, which may have made one of several')
    wide = texts.filter(texts.str.len_bytes() != texts.str.len_chars()).unique()
    if len(wide) and (alike := len(wide) - wide.str.normalize("NFC").n_unique()):
        notes.append(f"{alike} ids are written in two forms of Unicode, and are two ids each: normalise them (NFC)")
    return Ids(texts, found.refused, tuple(notes))


def plain_integers(texts: pl.Series) -> pl.Series:
    """Return Int64 where the text is an integer as Python would write it ("7", "-7"; not "07", "7.0"), else null."""
    numbers = texts.cast(pl.Int64, strict=False)
    return numbers.set(numbers.cast(pl.String) != texts, None)


def other_form(texts: pl.Series) -> pl.Series:
    """ "7" for "7.0" and "7.0" for "7": the other form of one id."""
    pointed = texts.str.ends_with(".0")
    return pl.select(pl.when(pointed).then(texts.str.strip_suffix(".0")).otherwise(texts + ".0")).to_series()


def series_of(ids: Iterable[Any]) -> pl.Series:
    """Return any sequence as a polars series; what polars would guess at stays an object."""
    if isinstance(ids, pl.Series):
        return ids
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iuf":
        return pl.Series("ids", ids if ids.dtype.kind != "f" or ids.itemsize == 4 else ids.astype(np.float64))
    return objects("ids", ids.tolist() if isinstance(ids, np.ndarray) and ids.dtype.kind != "M" else list(ids))


def objects(name: str, cells: Sequence[Any]) -> pl.Series:
    """Return a series of text or integers where all are, of objects else."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {str}:
        return pl.Series(name, cells, dtype=pl.String)
    if kinds == {int} and all(cell is None or -(2**63) <= cell < 2**63 for cell in cells):
        return pl.Series(name, cells, dtype=pl.Int64)
    return pl.Series(name, cells, dtype=pl.Object)


def _floats(raw: pl.Series) -> Ids:
    digits = 24 if raw.dtype == pl.Float32 else _DIGITS
    large = (raw.abs() >= 2**digits).fill_null(False)
    if large.any():
        refused = {row: f"{raw[row]:.17g} {_FLOAT.format(digits)}" for row in large.arg_true().to_list()}
        return Ids(pl.select(pl.when(~large).then(raw.cast(pl.String))).to_series(), refused)
    return Ids(raw.cast(pl.Int64) if bool((raw == raw.round()).all()) else raw.cast(pl.String))


def _objects(values: Sequence[Any]) -> Ids:
    if values and all(value is None or type(value) in (float, np.float64) for value in values):
        return _floats(pl.Series(values, dtype=pl.Float64).fill_nan(None))
    refused = dict[int, str]()
    cells = list[object]()
    for row, value in enumerate(values):
        try:
            cells.append(_plain(value))
        except ValueError as error:
            refused[row] = str(error)
            cells.append(None)
    if all(cell is None for cell in cells) or objects("ids", cells).dtype == pl.Int64:
        return Ids(pl.Series("ids", cells, dtype=pl.Int64), refused)
    texts = pl.Series("ids", [None if cell is None else str(cell) for cell in cells], dtype=pl.String)
    return Ids(texts, refused)


def _plain(value: Any) -> int | str | None:
    """The id that an object is: a whole number or text; None is missing; ValueError says what is no id."""
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value)
    if isinstance(value, np.generic):
        digits = int(np.finfo(value.dtype).nmant) + 1 if isinstance(value, np.floating) else _DIGITS
        value = value.item()
        if digits < _DIGITS and abs(value) >= 2**digits:
            raise ValueError(f"{value!r} {_FLOAT.format(digits)}")
    if isinstance(value, str | int):
        return str(value) if isinstance(value, str | bool) else int(value)
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float | decimal.Decimal):
        return _number(value)
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            shown = repr(bytes(value))
            raise ValueError(f"{shown} is bytes that are no text. Write them as text, such as hex") from None
    if isinstance(value, _AS_TEXT):
        return str(value)
    kind, shown = type(value).__name__, repr(value)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    fix = "Give each a row of its own, with frame.explode" if isinstance(value, list | np.ndarray | pl.Series) else ""
    raise ValueError(f"{shown} is a {kind}, and no id. {fix or 'Write a whole number or text'}")


def _number(value: float | decimal.Decimal) -> int | str | None:
    if value != value:
        return None
    if isinstance(value, float) and abs(value) >= EXACT_FLOAT:
        raise ValueError(f"{value!r} {_FLOAT.format(_DIGITS)}")
    if not decimal.Decimal(value).is_finite():
        raise ValueError(f"{value!r} is no id. Write a whole number or text")
    return int(value) if value == int(value) else str(value)

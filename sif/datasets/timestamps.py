"""Times of rating as seconds since 1970 (UTC), from epoch numbers of any unit, from dates, or from ISO text."""

import datetime
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sif.datasets.ids import objects

__all__ = ["time_problem", "to_seconds"]

# A number is read in the coarsest unit that puts it before the year 5138.
_UNITS = (
    (1e11, 1, "seconds"),
    (1e14, 10**3, "milliseconds"),
    (1e17, 10**6, "microseconds"),
    (np.inf, 10**9, "nanoseconds"),
)
_FIRST = 631_152_000  # 1990: no log of ratings is older
_DAY = 86_400
# Dates written as one number, by the number of digits: (format, how the notes call it).
_COMPACT = {
    8: ("%Y%m%d", "dates written as YYYYMMDD"),
    10: ("%Y%m%d%H", "times written as YYYYMMDDHH"),
    12: ("%Y%m%d%H%M", "times written as YYYYMMDDHHMM"),
    14: ("%Y%m%d%H%M%S", "times written as YYYYMMDDHHMMSS"),
    17: ("%Y%m%d%H%M%S%3f", "times written as YYYYMMDDHHMMSSmmm"),
}
_DAY_FORMATS = ("%Y-%m-%d", "%Y/%m/%d")
_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")
_NAMED_FORMATS = ("%d %b %Y", "%d %b %Y %H:%M:%S%.f", "%b %d %Y", "%b %d %Y %H:%M:%S%.f")
_ZONED_FORMATS = ("%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M%z", "%d %b %Y %H:%M:%S%.f%z", "%b %d %Y %H:%M:%S%.f%z")
_ZONE = r"\d(Z|[+-]\d\d:?\d\d)$"
# What databases write besides, as regular expressions and what stands for them; each works on what the last one made.
_SPELT = (
    (r"^(\d{4})(\d\d)(\d\d)(?:[T ](\d\d)(\d\d)(\d\d)?)?", "$1-$2-$3 $4:$5:$6"),  # ISO's basic form
    (r" ::$", ""),
    (r":([Z+-]|$)", "$1"),
    (r"^(\d{4})/(\d\d?)/(\d\d?) ", "$1-$2-$3 "),
    (r"(:\d\d),(\d)", "$1.$2"),  # a decimal comma
    (r"(\.\d{9})\d+", "$1"),
    (r"^(?:[A-Za-z]{3}, ?)", ""),  # RFC 2822's day of the week
    (r"^(\d\d?)[- ]([A-Za-z]{3})[a-z]*[- ](\d{4})", "$1 $2 $3"),
    (r"^([A-Za-z]{3})[a-z]* (\d\d?),? (\d{4})", "$1 $2 $3"),
    (r"(\d) ?(?:UTC|GMT|[Zz])$", "$1+00:00"),
    (r"(:\d\d(?:\.\d+)?) ?([+-]\d\d)(?::?(\d\d))?$", "$1$2:$3"),
    (r"([+-]\d\d):$", "$1:00"),
)


def to_seconds(times: pl.Series) -> tuple[pl.Series, list[str]]:
    """Return the times as Int64 seconds (Float64 where one has a fraction), null where unreadable, and notes."""
    if isinstance(times.dtype, pl.Categorical | pl.Enum):
        times = times.cast(pl.String)
    elif times.dtype in (pl.Object, pl.Binary):
        times = _plain(times.name, times.to_list())
    elif isinstance(times.dtype, pl.Decimal):
        whole = times.cast(pl.Int64, strict=False)
        same = times.dtype.scale == 0 or bool((whole == times).all())
        times = whole if same and whole.null_count() == times.null_count() else times.cast(pl.Float64)
    dtype = times.dtype
    if dtype == pl.String:
        seconds, notes = _from_text(times)
    elif dtype == pl.Date or isinstance(dtype, pl.Datetime):
        moments = times.cast(pl.Datetime("us", getattr(dtype, "time_zone", None)))
        seconds, notes = _whole(moments.dt.epoch("us"), 10**6), []
    elif dtype.is_integer() or dtype.is_float():
        seconds, notes = _from_numbers(times)
    else:
        return pl.Series(times.name, [None] * len(times), dtype=pl.Int64), []
    return seconds, notes + _doubts(seconds)


def time_problem(value: object) -> str:
    """Return what is wrong with a time that cannot be read, and the fix."""
    fix = 'or do not use the column: --set columns.timestamp=""'
    if value is None:
        return f"timestamp is missing. Fill it in, {fix}"
    text = str(value)
    if text.startswith("0000-00-00"):
        return f'timestamp "{text}" is how MySQL writes that there is none. Fill it in, {fix}'
    what = "is neither epoch seconds nor an ISO date"
    head = text.replace("/", "-").replace(".", "-").split(" ")[0].split("-")
    if len(head) == 3 and all(part.isdigit() for part in head) and max(map(int, head[:2])) <= 12:
        what += ", and may be read as day and month or as month and day"
    return f'timestamp "{text}" {what}. Write it as 2020-01-31 12:00:00, {fix}'


def _plain(name: str, values: Sequence[Any]) -> pl.Series:
    """Objects as one column: numbers where all are, else the text of each."""
    cells: list[Any] = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in values]
    present = [cell for cell in cells if cell is not None]
    if present and all(isinstance(cell, int | float | Decimal) and not isinstance(cell, bool) for cell in present):
        whole = objects(name, [None if cell is None else int(cell) if cell == cell // 1 else cell for cell in cells])
        return whole if whole.dtype == pl.Int64 else pl.Series(name, cells, dtype=pl.Float64, strict=False)
    return pl.Series(name, [None if cell is None else _written(cell) for cell in cells], dtype=pl.String)


def _written(cell: Any) -> str:
    return cell.isoformat(sep=" ") if isinstance(cell, datetime.datetime) else str(cell)


def _from_numbers(times: pl.Series) -> tuple[pl.Series, list[str]]:
    if times.dtype.is_float():
        times = pl.select(pl.when(times.is_finite()).then(times)).to_series()
    compact = _compact(times)
    if compact is not None:
        return compact
    ends = times.min(), times.max()
    if times.dtype.is_integer() and all(isinstance(end, int) and abs(end) < _UNITS[0][0] for end in ends):
        return times.cast(pl.Int64), []  # all are seconds, and so is the typical one
    typical = times.abs().median()
    if not isinstance(typical, float | int):
        return times.cast(pl.Int64, strict=False), []
    unit, name = next((unit, name) for limit, unit, name in _UNITS if typical < limit)
    strays = _strays(times, unit)
    if strays is not None:
        return strays
    return _whole(times, unit), [] if unit == 1 else [f"timestamps are {name}, turned into seconds"]


def _strays(times: pl.Series, unit: int) -> tuple[pl.Series, list[str]] | None:
    """Each time in its own unit, where the typical unit puts some before 1990 or after today, and another does not."""
    values = times.cast(pl.Float64).fill_null(0.0).to_numpy()
    known, last = np.full(len(values), unit), _tomorrow()
    stray = (values / unit < _FIRST) | (values / unit > last)
    counts = []
    for limit, other, name in _UNITS:
        own = stray & (values / other >= _FIRST) & (values / other <= last) & (values < limit)
        known[own] = other
        if count := int(np.count_nonzero((known == other) & times.is_not_null().to_numpy())):
            counts.append(f"{count} are {name}")
    if (known == unit).all():
        return None
    parts = [_whole(pl.select(pl.when(pl.lit(pl.Series(known == u))).then(times)).to_series(), int(u))
             for u in np.unique(known)]  # fmt: skip
    merged = parts[0]
    for part in parts[1:]:
        merged = _merge(merged, part)
    return merged, [f"timestamps are of several units: {', '.join(counts)}; each is read in its own"]


def _tomorrow() -> float:
    return time.time() + _DAY


def _doubts(seconds: pl.Series) -> list[str]:
    """Times that cannot be right: after today, or before 1990 beside others that are not (all small are a counter)."""
    early, late = seconds < _FIRST, seconds > _tomorrow()
    count = int(late.sum()) + (0 if bool(early.all()) else int(early.sum()))
    if not count:
        return []
    first, last = seconds.sort().cast(pl.Int64).drop_nulls().to_numpy()[[0, -1]].astype("datetime64[s]").astype(str)
    out = f"{count} of {len(seconds)} timestamps lie before 1990 or after today"
    return [f"{out} ({first} to {last}): check their unit"]


def _compact(times: pl.Series) -> tuple[pl.Series, list[str]] | None:
    """20200131 is a day, where all are such days: as seconds they would all lie in August 1970. So with hours."""
    first, last = times.min(), times.max()
    if not isinstance(first, int | float) or not isinstance(last, int | float) or first < 10**7:
        return None
    digits = len(str(int(last)))
    if digits not in _COMPACT or len(str(int(first))) != digits:
        return None
    if not 1900 <= first // 10 ** (digits - 4) <= last // 10 ** (digits - 4) <= 2100:
        return None
    form, name = _COMPACT[digits]
    # Minutes stand in for what a format lacks, as polars wants them.
    padded, full = (times.cast(pl.Int64).cast(pl.String), form) if digits != 10 else (
        times.cast(pl.Int64).cast(pl.String) + "00", form + "%M")  # fmt: skip
    if times.dtype.is_float() and not bool((times == times.round()).all()):
        return None
    moments = _microseconds(padded, full)
    if moments.null_count() > times.null_count():
        return None
    return _whole(moments, 10**6), [f"timestamps are {name} (UTC)"]


def _from_text(times: pl.Series) -> tuple[pl.Series, list[str]]:
    present = times.count()
    whole = times.cast(pl.Int64, strict=False)
    if whole.count() == present:
        return _from_numbers(whole)
    numbers = times.cast(pl.Float64, strict=False)
    if numbers.count() * 2 > present:
        return _from_numbers(numbers)
    plain = times.str.replace("T", " ", literal=True)
    seconds, local = _from_iso(plain)
    left = seconds.is_null() & times.is_not_null()
    if left.any():
        spelt = pl.select(pl.when(left).then(times)).to_series()
        for pattern, written in _SPELT:
            spelt = spelt.str.replace(pattern, written)
        again, also = _from_iso(spelt.str.replace(r"(\d)[Tt](\d)", "$1 $2"))
        seconds, local = _merge(seconds, again), local or also
    return seconds, ["dates are read as UTC"] if local else []


def _from_iso(plain: pl.Series) -> tuple[pl.Series, bool]:
    """Seconds of dates with and without a zone, and whether some have none."""
    zoned = plain.str.contains(_ZONE) & plain.str.contains(":", literal=True)
    unzoned = (*_DAY_FORMATS, *_FORMATS, *_NAMED_FORMATS)
    if not zoned.any():
        seconds = _first_reading(plain, unzoned)
        return seconds, seconds.count() > 0
    local = pl.select(pl.when(~zoned).then(plain)).to_series()
    away = pl.select(pl.when(zoned).then(plain)).to_series().str.replace("Z$", "+00:00")
    naive = _first_reading(local, unzoned)
    return _merge(_first_reading(away, _ZONED_FORMATS), naive), naive.count() > 0


def _first_reading(texts: pl.Series, formats: tuple[str, ...]) -> pl.Series:
    """Microseconds of the first format that reads each text, as whole or fractional seconds."""
    sample = texts.drop_nulls().head(1)
    moments = pl.select(pl.repeat(None, len(texts), dtype=pl.Int64)).to_series()
    for form in sorted(formats, key=lambda form: _microseconds(sample, form).null_count()):
        if moments.null_count() == texts.null_count():
            break
        moments = _merge(moments, _microseconds(texts, form))
    return _whole(moments, 10**6)


def _microseconds(texts: pl.Series, form: str) -> pl.Series:
    if "%H" not in form:
        return texts.str.to_date(form, strict=False).cast(pl.Datetime("us")).dt.epoch("us")
    return texts.str.to_datetime(form, time_unit="us", strict=False).dt.epoch("us")


def _merge(first: pl.Series, second: pl.Series) -> pl.Series:
    if first.dtype != second.dtype:
        first, second = first.cast(pl.Float64), second.cast(pl.Float64)
    return pl.select(pl.coalesce(first, second)).to_series().alias(first.name)


def _whole(times: pl.Series, unit: int) -> pl.Series:
    """times / unit: Int64 where nothing is lost, else Float64."""
    if times.dtype.is_integer():
        times = times.cast(pl.Int64)
        if unit == 1:
            return times
        return times // unit if bool((times % unit == 0).all()) else times / unit
    scaled = times / unit
    values: NDArray[Any] = scaled.drop_nulls().to_numpy()
    return scaled.cast(pl.Int64) if bool((values == np.floor(values)).all()) else scaled.cast(pl.Float64)

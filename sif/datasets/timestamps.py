"""Times of rating as seconds since 1970 (UTC), from epoch numbers of any unit or from ISO dates."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

__all__ = ["to_seconds"]

# A number is read in the coarsest unit that puts it before the year 5138.
_UNITS = (
    (1e11, 1, "seconds"),
    (1e14, 10**3, "milliseconds"),
    (1e17, 10**6, "microseconds"),
    (np.inf, 10**9, "nanoseconds"),
)
_DAY_FORMATS = ("%Y-%m-%d", "%Y/%m/%d")
_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")
_ZONED_FORMATS = ("%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M%z")
_ZONE = r"\d(Z|[+-]\d\d:?\d\d)$"


def to_seconds(times: pl.Series) -> tuple[pl.Series, list[str]]:
    """Return the times as Int64 seconds (Float64 where one has a fraction), null where unreadable, and notes."""
    dtype = times.dtype
    if dtype == pl.String:
        return _from_text(times)
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        moments = times.cast(pl.Datetime("us", getattr(dtype, "time_zone", None)))
        return _whole(moments.dt.epoch("us"), 10**6), []
    if dtype.is_integer() or dtype.is_float():
        return _from_numbers(times)
    return pl.Series(times.name, [None] * len(times), dtype=pl.Int64), []


def _from_numbers(times: pl.Series) -> tuple[pl.Series, list[str]]:
    if times.dtype.is_float():
        times = pl.select(pl.when(times.is_finite()).then(times)).to_series()
    days = _compact_days(times)
    if days is not None:
        return days, ["timestamps are dates written as YYYYMMDD (UTC)"]
    ends = times.min(), times.max()
    if times.dtype.is_integer() and all(isinstance(end, int) and abs(end) < _UNITS[0][0] for end in ends):
        return times.cast(pl.Int64), []  # all are seconds, and so is the typical one
    typical = times.abs().median()
    if not isinstance(typical, float | int):
        return times.cast(pl.Int64, strict=False), []
    unit, name = next((unit, name) for limit, unit, name in _UNITS if typical < limit)
    return _whole(times, unit), [] if unit == 1 else [f"timestamps are {name}, turned into seconds"]


def _compact_days(times: pl.Series) -> pl.Series | None:
    """20200131 is a day, where all are such days: as seconds they would all lie in August 1970."""
    if not (times.dtype.is_integer() and bool(times.is_between(19_000_101, 21_001_231).all()) and times.count()):
        return None
    days = times.cast(pl.String).str.to_date("%Y%m%d", strict=False)
    return None if days.null_count() > times.null_count() else days.dt.epoch("s")


def _from_text(times: pl.Series) -> tuple[pl.Series, list[str]]:
    present = times.count()
    whole = times.cast(pl.Int64, strict=False)
    if whole.count() == present:
        return _from_numbers(whole)
    numbers = times.cast(pl.Float64, strict=False)
    if numbers.count() * 2 > present:
        return _from_numbers(numbers)
    plain = times.str.replace("T", " ", literal=True)
    zoned = plain.str.contains(_ZONE) & plain.str.contains(":", literal=True)
    if not zoned.any():
        return _first_reading(plain, (*_DAY_FORMATS, *_FORMATS)), ["dates are read as UTC"] if present else []
    local = pl.select(pl.when(~zoned).then(plain)).to_series()
    away = pl.select(pl.when(zoned).then(plain)).to_series().str.replace("Z$", "+00:00")
    return _merge(_first_reading(away, _ZONED_FORMATS), _first_reading(local, (*_DAY_FORMATS, *_FORMATS))), []


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
    if form in _DAY_FORMATS:
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

"""Takes interactions from pandas and polars frames and from Parquet files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from sif.datasets.columns import ColumnNames, recognise, valued
from sif.datasets.content import Content
from sif.datasets.ids import objects
from sif.datasets.interactions import Interactions
from sif.datasets.table import Origin, RawTable
from sif.errors import DataError

T = TypeVar("T")

__all__ = ["from_pandas", "from_polars", "is_pandas", "read_parquet", "refuse_series", "to_frame"]


def is_pandas(source: object) -> bool:
    """Return whether this is a pandas DataFrame, without importing pandas."""
    kind = type(source)
    return kind.__module__.split(".")[0] == "pandas" and kind.__name__ == "DataFrame"


def refuse_series(source: object) -> None:
    """Raise `DataError` for a Series, which is one column, whatever its index says."""
    library = type(source).__module__.split(".")[0]
    if library in ("pandas", "polars") and type(source).__name__ == "Series":
        fix = 'series.rename("rating").reset_index()' if library == "pandas" else "a frame of all columns"
        raise DataError(f"a {library} Series is one column, and interactions have two or more\n  Give {fix}.")


def from_polars(frame: pl.DataFrame, columns: ColumnNames | None, name: str = "polars frame") -> RawTable:
    """Pick the columns that matter from a polars frame; rows in errors count from 0."""
    found, notes = recognise(frame.columns, columns, name)
    value = valued(frame.columns, found)
    names = tuple(frame.columns)
    return RawTable(
        tuple(found), lambda role: frame.to_series(found[role]), Origin(name), False, tuple(notes), None, names, value
    )


def from_pandas(frame: Any, columns: ColumnNames | None, name: str = "pandas frame") -> RawTable:
    """Pick the columns that matter from a pandas frame; needs no pyarrow. Rows in errors count from 0."""
    names = [str(column) for column in frame.columns]
    try:
        found, notes = recognise(names, columns, name)
    except DataError as error:
        if not (index := [str(level) for level in frame.index.names if level is not None]):
            raise
        first = str(error).partition("\n")[0]
        raise DataError(f"{first}; the index has {', '.join(index)}\n  Give frame.reset_index().") from None

    def column(role: str) -> pl.Series:
        return _pandas_series(frame.iloc[:, found[role]], names[found[role]])

    value = valued(names, found)
    return RawTable(tuple(found), column, Origin(name), False, tuple(notes), None, tuple(names), value)


def _pandas_series(series: Any, name: str) -> pl.Series:
    if getattr(series.dtype, "tz", None) is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    values = series.to_numpy()
    if values.dtype.kind == "M":  # polars knows milli-, micro- and nanoseconds alone
        known = np.datetime_data(values.dtype)[0] in ("ms", "us", "ns")
        return pl.Series(name, values if known else values.astype("datetime64[ms]"))
    if values.dtype.kind in "iub":
        return pl.Series(name, values)
    if values.dtype.kind == "f":
        return pl.Series(name, values if values.itemsize in (4, 8) else values.astype(np.float64))
    cells = [None if missing else value for value, missing in zip(values.tolist(), series.isna().tolist(), strict=True)]
    return objects(name, cells)


def read_parquet(content: Content, columns: ColumnNames | None = None) -> RawTable:
    """Find the columns that matter in a Parquet file, each read when it is asked for; rows in errors count from 0."""
    path = content.path
    names = list(_parquet(path, lambda: pl.read_parquet_schema(content.source())))
    found, notes = recognise(names, columns, str(path), door="parquet")

    def column(role: str) -> pl.Series:
        return _parquet(path, lambda: pl.read_parquet(content.source(), columns=[names[found[role]]]).to_series())

    value = valued(names, found)
    return RawTable(tuple(found), column, Origin(str(path)), False, tuple(notes), None, tuple(names), value)


def _parquet(path: Path, load: Callable[[], T]) -> T:
    try:
        return load()
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is not a readable Parquet file: {reason}\n  Write it again, or give a CSV.") from error


def to_frame(interactions: Interactions) -> pl.DataFrame:
    """Return the interactions with raw ids: columns user, item and what else is in use."""
    data = {
        "user": pl.Series(interactions.users.to_list()).gather(interactions.user),
        "item": pl.Series(interactions.items.to_list()).gather(interactions.item),
    }
    for role in ("rating", "timestamp", "weight"):
        values = getattr(interactions, role)
        if values is not None:
            data[role] = pl.Series(values)
    if interactions.context is not None and interactions.contexts is not None:
        data["context"] = pl.Series(interactions.contexts.to_list()).gather(interactions.context)
    return pl.DataFrame(data)

"""Reads delimited text files; a line that cannot be read is named with its number, its text and the fix."""

import csv
import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from sif.datasets.columns import ColumnNames, recognise
from sif.datasets.layout import BROKEN, DELIMITERS, Layout, fields_of, open_bytes, positions, recognise_layout
from sif.datasets.table import SHOWN, Origin, Place, Table, listing
from sif.errors import DataError

__all__ = ["read_text"]

MISSING = ["", "NaN", "nan", "NAN", "NA", "N/A", "<NA>", "null", "NULL", "None"]
_ONE_BYTE = "\x1f"  # stands in for "::", which polars cannot split at


def read_text(path: Path, columns: ColumnNames | None = None, layout: Layout | None = None) -> Table:
    """Read the columns that matter, as text; `layout` skips the recognition (official files).

    Raises DataError for what cannot be read: the first problems are listed with line, text and fix.
    """
    layout = layout or recognise_layout(path, columns)
    found, notes = recognise(layout.names, columns, f"{path}, line {layout.header}" if layout.header else str(path))
    origin = Origin(str(path), "line", partial(_places, path, layout))
    roles = positions(layout, found)
    try:
        frame = pl.read_csv(
            _source(path, layout),
            has_header=False,
            skip_rows=layout.skip,
            schema={str(place): pl.String for place in range(len(layout.names))},
            columns=[place for _, place in roles],
            separator=_ONE_BYTE if layout.delimiter == "::" else layout.delimiter,
            quote_char='"' if layout.quoted else None,
            null_values=MISSING,
        )
    except pl.exceptions.NoDataError:
        frame = pl.DataFrame(
            {str(place): [] for _, place in roles}, schema={str(place): pl.String for _, place in roles}
        )
    except (pl.exceptions.PolarsError, *BROKEN) as error:
        raise _unreadable(path, layout, origin, error) from error
    frame = frame.rename({str(place): role for role, place in roles}).select(pl.all().str.strip_chars(" \r"))
    blank = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
    frame = frame.with_row_index("row")
    if blank.any():
        frame = frame.filter(~blank)
    return Table(tuple(found), frame.get_column, origin, True, (*layout.notes, *notes), frame["row"])


def _source(path: Path, layout: Layout) -> str | io.BytesIO:
    if layout.delimiter != "::" and path.suffix.lower() not in (".gz", ".bz2", ".xz"):
        return str(path)
    with open_bytes(path) as stream:
        content = stream.read()
    return io.BytesIO(content.replace(b"::", _ONE_BYTE.encode()) if layout.delimiter == "::" else content)


def _records(path: Path, layout: Layout) -> Iterator[tuple[int, str, int]]:
    """(1-based line, text, number of fields) of every row, blank ones included; slow, for errors alone."""
    with open_bytes(path) as stream:
        lines = enumerate(io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline=""), start=1)
        for number, line in lines:
            if number <= layout.skip:
                continue
            start, text = number, line
            while layout.quoted and text.count('"') % 2 and (following := next(lines, None)):
                text += following[1]
            text = text.rstrip("\r\n")
            try:
                count = len(fields_of(text, layout.delimiter, layout.quoted)) if text else 0
            except csv.Error:
                count = -1
            yield start, text, count


def _shape(count: int, layout: Layout, text: str) -> str:
    expected = len(layout.names)
    if layout.quoted and text.count('"') % 2:
        return "a quote opens here and never closes. Close it, or double it inside a field."
    if count in (expected, -1):
        return ""
    fix = "Quote a field that holds the delimiter" if count > expected else "Fill in the missing fields"
    wanted = "header has" if layout.header else "first line has"
    return f"{count} field{'s' if count != 1 else ''}, the {wanted} {expected}. {fix}, or delete the line."


def _places(path: Path, layout: Layout, rows: Sequence[int]) -> list[Place]:
    """Rows to their lines; rows that have too few fields say so."""
    wanted, found = set(rows), dict[int, Place]()
    for row, (number, text, count) in enumerate(_records(path, layout)):
        if row in wanted:
            found[row] = Place(number, text, _shape(count, layout, text))
            if len(found) == len(wanted):
                break
    return [found.get(row, Place(row + layout.skip + 1)) for row in rows]


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _unreadable(path: Path, layout: Layout, origin: Origin, error: Exception) -> DataError:
    """Find the lines that polars gave up on."""
    try:
        with open_bytes(path) as stream:
            bad = next((pair for pair in enumerate(stream, start=1) if not _is_utf8(pair[1])), None)
        if bad is not None:
            place = Place(bad[0], bad[1].decode("utf-8", errors="replace").rstrip("\r\n"))
            return listing(origin, [(place, "is not UTF-8. Save the file as UTF-8.")], 1)
    except BROKEN as broken:
        return DataError(f"{path} cannot be read: {broken}\n  It may be cut short: fetch or write it again.")
    problems, total = list[tuple[Place, str]](), 0
    for number, text, count in _records(path, layout):
        if text and (said := _shape(count, layout, text)):
            total += 1
            if len(problems) < SHOWN:
                problems.append((Place(number, text), said))
    if problems:
        return listing(origin, problems, total)
    known = ", ".join("tab" if mark == "\t" else "blank" if mark == " " else mark for mark in DELIMITERS)
    reason = str(error).splitlines()[0]
    return DataError(f"{path} cannot be read as a table: {reason}\n  Write it as text with one delimiter ({known}).")

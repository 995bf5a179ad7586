"""Reads delimited text files; a line that cannot be read is named with its number, its text and the fix."""

import io
import mmap
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from sif.datasets.columns import ColumnNames, naming, recognise, short, valued
from sif.datasets.content import BROKEN, Content, load_content
from sif.datasets.layout import DELIMITERS, LISTS, Layout, fields_of, positions, recognise_layout
from sif.datasets.table import SHOWN, LinePlace, Origin, RawTable, listing
from sif.errors import DataError

__all__ = ["read_text"]

MISSING = ["", "NaN", "nan", "NAN", "NA", "N/A", "<NA>", "null", "NULL", "None"]
_Bytes = bytes | mmap.mmap
_ONE_BYTE = "\x1f"  # stands in for "::", which polars cannot split at


def read_text(source: Content | Path, columns: ColumnNames | None = None, layout: Layout | None = None) -> RawTable:
    """Read the columns that matter, as text; `layout` skips the recognition (official files).

    Raises DataError for what cannot be read: the first problems are listed with line, text and fix.
    """
    content = source if isinstance(source, Content) else load_content(source)
    path = content.path
    layout = layout or recognise_layout(content, columns)
    if layout.lists:
        return _read_lists(content, layout, layout.lists)
    where = f"{path}, line {layout.header}" if layout.header else f"{path} has no header"
    found, notes = recognise(layout.names, columns, where, door="text")
    if layout.quoted:
        enclosed = _enclosed(content, layout, notes)
        content, layout = enclosed or content, replace(layout, quoted=enclosed is not None)
    origin = Origin(str(path), "line", partial(_places, content, layout))
    roles = positions(found)
    schema = {str(place): pl.String for place in range(len(layout.names))}
    try:
        frame = pl.read_csv(
            _source(content, layout),
            has_header=False,
            skip_rows=layout.skip,
            schema=schema,
            columns=[place for _, place in roles],
            separator=_ONE_BYTE if layout.delimiter == "::" else layout.delimiter,
            quote_char='"' if layout.quoted else None,
            null_values=MISSING,
        )
    except pl.exceptions.NoDataError:
        frame = pl.DataFrame(schema={str(place): pl.String for _, place in roles})
    except BROKEN as error:
        raise _unreadable(content, layout, origin, error) from error
    frame = frame.rename({str(place): role for role, place in roles}).select(pl.all().str.strip_chars(" \r"))
    blank = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
    frame = frame.with_row_index("row")
    if blank.any():
        frame = frame.filter(~blank)
    said, names = (*layout.notes, *notes), layout.names
    value = valued(names, found) if layout.header else ""
    return RawTable(tuple(found), frame.get_column, origin, True, said, frame["row"], names, value)


def _read_lists(content: Content, layout: Layout, places: tuple[int, int]) -> RawTable:
    """Read lines of a user and its items; a user without items is left out, and counted."""
    users, items, rows, empty = list[str](), list[str](), list[int](), 0
    user, start = places
    origin = Origin(str(content.path), "line", partial(_places, content, layout))
    if not _is_utf8(content.whole()):
        raise _unreadable(content, layout, origin, ValueError("not UTF-8"))
    for row, (_, text, _) in enumerate(_records(content, layout)):
        fields = [field.strip() for field in fields_of(text, layout.delimiter, False)]
        liked = [field for field in fields[start:] if field]
        if len(fields) > user:
            empty += not liked
            users += [fields[user]] * len(liked)
            items += liked
            rows += [row] * len(liked)
    frame = pl.DataFrame({"user": users, "item": items}, schema={"user": pl.String, "item": pl.String})
    frame = frame.with_columns(pl.when(~pl.all().is_in(MISSING)).then(pl.all()))
    notes = (f"{empty} users without items left out",) if empty else ()
    return RawTable(("user", "item"), frame.get_column, origin, True, (*layout.notes, *notes), pl.Series(rows))


def _source(content: Content, layout: Layout) -> Path | io.BytesIO:
    if layout.delimiter == "::":
        return io.BytesIO(content.whole().replace(b"::", _ONE_BYTE.encode()))
    if layout.delimiter == " " and not layout.quoted:
        whole = content.whole()
        if any(mark in whole for mark in (b"  ", b"\n ", b" \n", b" \r")) or whole[:1] == b" ":
            return io.BytesIO(re.sub(rb"(?m)^ +| +(?=\r?$)|(?<= ) +", b"", whole))
    return content.source()


def _enclosed(content: Content, layout: Layout, notes: list[str]) -> Content | None:
    """The content if quotes enclose fields in it, None if they are text like any other; raises where both are so.

    polars takes a quote inside a field for the begin of a quoted one where it counts lines, and for text where it
    splits them. Blanks between a quote and a delimiter are left out.
    """
    mark = re.escape(layout.delimiter.encode())
    sound = re.compile(rb'(?:(?:"(?:[^"]++|"")*+"|[^"%b\r\n]*+)(?:[%b\r\n]|\Z))*+' % (mark, mark))
    with content.open() as stream:
        # A file is mapped, not held in memory.
        held = content.held or mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        if held.find(b'"') < 0:
            return None
        begin = 3 if held[:3] == b"\xef\xbb\xbf" else 0
        end = _end(sound, held, begin)
        if end == len(held):
            return content
        if not re.search(rb'(?:\A|[%b\n]) *"' % mark, held):
            notes.append("no field is enclosed in quotes: they are read as they stand")
            return None
        tight = re.sub(rb'((?:\A|[%b\n])) +(?=")|(?<=") +(?=[%b\r\n]|\Z)' % (mark, mark), rb"\1", held)
        if _end(sound, tight, begin) == len(tight):
            return replace(content, held=tight)
        raise _strays(str(content.path), held, end, sound, mark)


def _strays(name: str, held: _Bytes, end: int, sound: re.Pattern[bytes], mark: bytes) -> DataError:
    """The error that lists the fields where the quoting breaks; the first is at the byte `end`."""
    stray, total, line, counted = list[tuple[LinePlace, str]](), 0, 1, 0
    while end < len(held):
        line, counted, total = line + held[counted:end].count(b"\n"), end, total + 1
        if len(stray) < SHOWN:
            stray.append(_stray(held, end, line, mark))
        after = held.find(b"\n", end)
        end = len(held) if after < 0 else _end(sound, held, after + 1)
    return listing(Origin(name, "line"), stray, total)


def _end(pattern: re.Pattern[bytes], held: _Bytes, start: int) -> int:
    found = pattern.match(held, start)
    return found.end() if found else start


def _stray(held: _Bytes, place: int, line: int, mark: bytes) -> tuple[LinePlace, str]:
    """What is wrong with the field at a byte where the quoting breaks."""
    begin, after = held.rfind(b"\n", 0, place) + 1, held.find(b"\n", place)
    text = held[begin : len(held) if after < 0 else after].decode("utf-8", errors="replace").rstrip("\r")
    closed = re.compile(rb'"(?:[^"\n]++|"")*+"').match(held, place)
    if held[place : place + 1] == b'"' and not closed:
        return LinePlace(line, text), "a quote opens here and never closes. Close it, or double it inside a field."
    found = re.compile(rb"[^%b\r\n]*" % mark).match(held, place)
    field = found[0].decode("utf-8", errors="replace") if found else ""
    doubled = '"' + field.replace('"', '""') + '"'
    return LinePlace(
        line, text
    ), f"a quote stands inside a field. Double it, and enclose the field: {short(doubled, 100)}"


def _records(content: Content, layout: Layout) -> Iterator[tuple[int, str, int]]:
    """(1-based line, text, number of fields) of every row, blank ones included; slow, for errors and lists alone."""
    with content.open() as stream:
        lines = enumerate(io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="\n"), start=1)
        for number, line in lines:
            if number <= layout.skip:
                continue
            start, text = number, line
            while layout.quoted and text.count('"') % 2 and (following := next(lines, None)):
                text += following[1]
            text = text.rstrip("\r\n")
            yield start, text, len(fields_of(text, layout.delimiter, layout.quoted)) if text else 0


def _shape(count: int, layout: Layout) -> str:
    expected = len(layout.names)
    if count == expected or layout.lists:
        return ""
    fix = "Quote a field that holds the delimiter" if count > expected else "Fill in the missing fields"
    wanted = "header has" if layout.header else "first line has"
    return f"{count} field{'s' if count != 1 else ''}, the {wanted} {expected}. {fix}, or delete the line."


def _places(content: Content, layout: Layout, rows: Sequence[int]) -> list[LinePlace]:
    """Rows to their lines; rows that have too few fields say so."""
    wanted, found = set(rows), dict[int, LinePlace]()
    for row, (number, text, count) in enumerate(_records(content, layout)):
        if row in wanted:
            found[row] = LinePlace(number, text, _shape(count, layout))
            if len(found) == len(wanted):
                break
    return [found.get(row, LinePlace(row + layout.skip + 1)) for row in rows]


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _unreadable(content: Content, layout: Layout, origin: Origin, error: Exception) -> DataError:
    """Find the lines that polars gave up on."""
    try:
        with content.open() as stream:
            bad = next((pair for pair in enumerate(stream, start=1) if not _is_utf8(pair[1])), None)
    except BROKEN as broken:
        return DataError(f"{origin.name} cannot be read: {broken}\n  It may be cut short: fetch or write it again.")
    if bad is not None:
        place = LinePlace(bad[0], bad[1].decode("utf-8", errors="replace").rstrip("\r\n"))
        return listing(origin, [(place, "is not UTF-8. Save the file as UTF-8.")], 1)
    problems, total = list[tuple[LinePlace, str]](), 0
    for number, text, count in _records(content, layout):
        if text and (said := _shape(count, layout)):
            total += 1
            if len(problems) < SHOWN:
                problems.append((LinePlace(number, text), said))
    if problems:
        listed = listing(origin, problems, total)
        if layout.delimiter != " ":
            return listed
        names = LISTS | ({"header": "yes"} if layout.header else {})
        lists = ["If each line is a user and its items, say so.", *naming(names, file=True)]
        return DataError("\n  ".join([str(listed), *lists]))
    known = ", ".join("tab" if mark == "\t" else "blank" if mark == " " else mark for mark in DELIMITERS)
    reason = short(str(error).splitlines()[0], 200)
    return DataError(
        f"{origin.name} cannot be read as a table: {reason}\n  Write it as text with one delimiter ({known})."
    )

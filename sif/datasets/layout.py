"""How a text file is laid out: its delimiter, whether it has a header, the names of its columns."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sif.datasets.columns import REST, ColumnNames, naming, position, recognised, short
from sif.datasets.content import Content
from sif.datasets.table import LinePlace, Origin, listing
from sif.errors import DataError

__all__ = ["Layout", "recognise_layout"]

DELIMITERS = ("\t", "::", ";", "|", ",", " ")
HEADERLESS = ("user", "item", "rating", "timestamp")
LISTS = {"user": "1", "item": "2..."}  # what names lines of a user and its items
_LOOKED_AT = 20  # lines that must agree on the number of fields


@dataclass(frozen=True, slots=True)
class Layout:
    """Delimiter, column names, lines before the first row, the line of the header (0: none), and quoting.

    `lists` says that a line is a user and its items: the places of the user and of the first item.
    """

    delimiter: str
    names: tuple[str, ...]
    skip: int
    header: int
    quoted: bool
    notes: tuple[str, ...] = ()
    lists: tuple[int, int] | None = None


def fields_of(line: str, delimiter: str, quoted: bool) -> list[str]:
    """Split one line; several blanks between columns are one delimiter."""
    if delimiter == " " and not quoted:
        return line.split()
    if len(delimiter) > 1 or not quoted:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return line.split(delimiter)


def recognise_layout(content: Content, columns: ColumnNames | None) -> Layout:
    """Look at the first lines of a text file.

    The delimiter is what Excel's line `sep=` says, else the one that shows a user and an item column, else the one that
    makes the most fields, the same number in each line. Numbers alone are no header; see `_has_header` for the rest.
    Raises DataError for an empty file, and for numbers without header in any count but 3 or 4 (docs/data.md).
    """
    columns = columns or ColumnNames()
    lines = content.head.decode("utf-8-sig", errors="replace").split("\n")
    if len(content.head) < content.size and len(lines) > 1:
        lines.pop()  # cut
    filled = [place for place, line in enumerate(lines) if line.strip()]
    said = re.fullmatch(r'"?sep=(.)"?\s*', lines[filled[0]], re.IGNORECASE) if filled else None
    filled = filled[1:] if said else filled
    if not filled:
        what = "is empty" if content.path.is_file() else "is empty (a pipe can be read once)"
        raise DataError(
            f"{content.path} {what}\n  Give a file with a header (user_id,item_id,rating,timestamp) and rows below it."
        )
    skip = filled[0]
    below = filled[1] if len(filled) > 1 else skip + 1
    first = lines[skip].rstrip("\r")
    raw = content.head.split(b"\n")[skip]
    if "\ufffd" in first and raw.decode(errors="replace") != raw.decode(errors="ignore"):
        place = LinePlace(skip + 1, first)
        raise listing(Origin(str(content.path), "line"), [(place, "is not UTF-8. Save the file as UTF-8.")], 1)
    samples = [lines[place].rstrip("\r") for place in filled[:_LOOKED_AT]]
    if lists := _lists(content, columns, samples, skip, below):
        return lists
    delimiter, fields = (said[1], _stripped(first, said[1])) if said else _best_split(samples)
    quoted = delimiter in ",;" or (delimiter != "::" and '"' in first)
    given = columns.given()
    if _has_header(fields, columns):
        return Layout(delimiter, tuple(fields), below, skip + 1, quoted)
    doubt = f"line {skip + 1} ({short(first)}) is read as data; if it names the columns, say so: columns.header = yes"
    if given or columns.header is False:
        notes = ["columns are named by position: the file has no header"]
        if columns.header is None and not any(map(_is_number, fields)):
            notes.append(doubt)
        return Layout(delimiter, _numbers(len(fields)), skip, 0, quoted, tuple(notes))
    if len(fields) in (3, 4):
        names = HEADERLESS[: len(fields)]
        notes = [f"no header: columns read as {', '.join(names)}"]
        if fields in ([str(place + start) for place in range(len(fields))] for start in (0, 1)):
            notes.append(doubt)
        return Layout(delimiter, names, skip, 0, quoted, tuple(notes))
    ragged = len({len(fields_of(line, delimiter, quoted)) for line in samples}) > 1
    example = LISTS if ragged else {"user": "1", "item": "2"} if len(fields) > 1 else {}
    fix = (
        "If each line is a user and its items, say so."
        if ragged
        else "Put a header line such as user_id,item_id on top, or name columns by position."
    )
    raise DataError(
        f"{content.path}, line {skip + 1}: {short(first, 100)}\n"
        f"  {len(fields)} number{'s' if len(fields) > 1 else ''} and no header. Without a header a file is read only "
        "when it has 3 or 4 columns: user, item, rating[, timestamp].\n  "
        + "\n  ".join([fix, *naming(example, file=True)])
    )


def _has_header(fields: Sequence[str], columns: ColumnNames) -> bool:
    """Whether the first line names the columns, as said, or by what stands in it; never by which numbers those are."""
    given = columns.given()
    if columns.header is not None:
        return bool(columns.header)
    if all(map(_is_number, fields)):
        return False
    if not given or any(position(name) is None for name in given.values()) or recognised(fields):
        return True
    rating = position(given.get("rating", ""))
    return rating is not None and rating < len(fields) and not _is_number(fields[rating])


def _lists(content: Content, columns: ColumnNames, lines: Sequence[str], skip: int, below: int) -> Layout | None:
    """The layout of lines of a user and its items (LightGCN): said so, or recognised beyond doubt."""
    given = columns.given()
    item = given.get("item", "")
    if item.endswith(REST):
        start, user = position(item), position(given.get("user", "1"))
        if start is None or user is None or user >= start or set(given) - {"user", "item"}:
            raise DataError(
                f'{content.path}: item = "{item}" takes the rest of a line for items\n'
                '  Name a position before it for the user, and no other column: user = "1", item = "2..."'
            )
        best = max(DELIMITERS, key=lambda mark: sum(len(_stripped(line, mark)) for line in lines))
        header = columns.header is True
        return Layout(best, (), below if header else skip, skip + 1 if header else 0, False, (), (user, start))
    numbers = re.fullmatch(r"\d+( +\d+)* *", lines[0]) and not given and columns.header is None
    if not numbers or not _ragged(content):
        return None
    note = "no header, and lines of different lengths: each is read as a user and its items"
    return Layout(" ", (), skip, 0, False, (note,), (0, 1))


def _ragged(content: Content) -> bool:
    """Whether all lines are whole numbers, not always as many, and no first one stands in two lines: not a table."""
    users, widths = set[bytes](), set[int]()
    with content.open() as stream:
        for line in stream:
            fields = line.removeprefix(b"\xef\xbb\xbf").split()
            if not fields:
                continue
            if fields[0] in users or not all(field.isdigit() for field in fields):
                return False
            users.add(fields[0])
            widths.add(len(fields))
    return len(widths) > 1


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(str(place + 1) for place in range(count))


def _stripped(line: str, delimiter: str) -> list[str]:
    return [field.strip() for field in fields_of(line, delimiter, '"' in line)]


def _best_split(lines: Sequence[str]) -> tuple[str, list[str]]:
    splits, counts = dict[str, list[str]](), dict[str, tuple[bool, int]]()
    for delimiter in DELIMITERS:
        fields = splits[delimiter] = _stripped(lines[0], delimiter)
        if recognised(fields) == 2:
            return delimiter, fields
        same = all(len(_stripped(line, delimiter)) == len(fields) for line in lines[1:])
        counts[delimiter] = (same and len(fields) > 1, len(fields))
    best = max(DELIMITERS, key=lambda delimiter: counts[delimiter])
    return best, splits[best]


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def positions(found: dict[str, int]) -> Sequence[tuple[str, int]]:
    """(role, position) pairs in the order of the columns in the file."""
    return sorted(found.items(), key=lambda pair: pair[1])

"""How a text file is laid out: its delimiter, whether it has a header, the names of its columns."""

import bz2
import csv
import gzip
import lzma
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sif.datasets.columns import ColumnNames, recognised
from sif.errors import DataError

__all__ = ["Layout", "open_bytes", "recognise_layout"]

DELIMITERS = ("\t", "::", ";", "|", ",", " ")
_OPENERS: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error)  # what a cut or damaged file raises
_HEAD_BYTES = 1 << 16
HEADERLESS = ("user", "item", "rating", "timestamp")


@dataclass(frozen=True, slots=True)
class Layout:
    """Delimiter, column names, lines before the first row, the line of the header (0: none), and quoting."""

    delimiter: str
    names: tuple[str, ...]
    skip: int
    header: int
    quoted: bool
    notes: tuple[str, ...] = ()


def open_bytes(path: Path) -> IO[bytes]:
    """Open a plain, .gz, .bz2 or .xz file for reading bytes."""
    opener = _OPENERS.get(path.suffix.lower())
    stream: IO[bytes] = opener(path) if opener else path.open("rb")
    return stream


def fields_of(line: str, delimiter: str, quoted: bool) -> list[str]:
    """Split one line."""
    if len(delimiter) > 1 or not quoted:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter), [])


def recognise_layout(path: Path, columns: ColumnNames | None) -> Layout:
    """Look at the first lines of a text file.

    The delimiter is the one that shows a user and an item column, else the one that makes the most fields. A first
    line of 3 or 4 numbers is data: user, item, rating[, timestamp]. Columns named by position ("1", "2") say that
    there is no header. Raises DataError for an empty file, a binary one, and numbers in any other count.
    """
    skip, first, rows = _first_line(path)
    delimiter, fields = _best_split(first)
    quoted = delimiter in ",;" or (delimiter != "::" and '"' in first)
    given = (columns or ColumnNames()).given()
    if given and all(name.isdigit() and name not in fields for name in given.values()):
        names = tuple(str(place + 1) for place in range(len(fields)))
        return Layout(delimiter, names, skip, 0, quoted, ("columns are named by position: the file has no header",))
    if not all(_is_number(field) for field in fields):
        return Layout(delimiter, tuple(fields), rows, skip + 1, quoted)
    if len(fields) in (3, 4) and not given:
        names = HEADERLESS[: len(fields)]
        return Layout(delimiter, names, skip, 0, quoted, (f"no header: columns read as {', '.join(names)}",))
    if given:
        return Layout(delimiter, tuple(fields), rows, skip + 1, quoted)
    raise DataError(
        f"{path}, line {skip + 1}: {first[:100]}\n"
        f"  {len(fields)} number{'s' if len(fields) > 1 else ''} and no header. Without a header a file is read only "
        "when it has 3 or 4 columns: user, item, rating[, timestamp].\n"
        '  Add a header line such as user_id,item_id or name columns by position: user = "1", item = "2".'
    )


def _first_line(path: Path) -> tuple[int, str, int]:
    """Number of blank lines at the top, the first line after them, and how many lines stand before the next one."""
    try:
        with open_bytes(path) as stream:
            head = stream.read(_HEAD_BYTES)
    except BROKEN as error:
        raise DataError(f"{path} cannot be read: {error}\n  Check the path and the permissions.") from error
    if b"\0" in head:
        raise DataError(
            f"{path} is not UTF-8 text (it holds zero bytes)\n  Save it as UTF-8 CSV, or as Parquet (.parquet)."
        )
    lines = head.decode("utf-8-sig", errors="replace").splitlines()
    for skip, line in enumerate(lines):
        if line.strip():
            after = next((place for place in range(skip + 1, len(lines)) if lines[place].strip()), skip + 1)
            return skip, line, after
    raise DataError(
        f"{path} is empty\n  Give a file with a header (user_id,item_id,rating,timestamp) and rows below it."
    )


def _best_split(line: str) -> tuple[str, list[str]]:
    splits = {}
    for delimiter in DELIMITERS:
        fields = [field.strip() for field in fields_of(line, delimiter, '"' in line)]
        splits[delimiter] = fields
        if recognised(fields) == 2:
            return delimiter, fields
    best = max(DELIMITERS, key=lambda delimiter: len(splits[delimiter]))
    return best, splits[best]


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def positions(layout: Layout, found: dict[str, int]) -> Sequence[tuple[str, int]]:
    """(role, position) pairs in the order of the columns in the file."""
    return sorted(found.items(), key=lambda pair: pair[1])

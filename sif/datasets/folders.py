"""Reads part files as one table: a folder as Spark and Hive write it, or a glob."""

import glob
import shlex
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl

from sif.datasets.columns import ASKED, ColumnNames, short, spelled
from sif.datasets.table import LinePlace, Origin, RawTable
from sif.errors import DataError

__all__ = ["is_glob", "part_files", "read_part_files"]

_PARTS = dict.fromkeys(("valid", "validation", "val", "dev"), "valid") | {"train": "data", "test": "test"}
_LOGS = {"_delta_log": "Delta Lake", ".hoodie": "Hudi", "metadata": "Iceberg"}
_PACKED = (".gz", ".bz2", ".xz", ".zst")
_NULL = "__HIVE_DEFAULT_PARTITION__"


def is_glob(source: str) -> bool:
    """Return whether a source that is no path stands for files by its pattern."""
    return glob.has_magic(source) and not Path(source).exists()


def part_files(source: str | Path) -> list[Path]:
    """Return the files of a folder (and of its `key=value` folders), or those that a glob matches, by name.

    Hidden files and those that begin with `_`, as `_SUCCESS` and checksums, are left out, and so are empty files.
    Raises DataError where a glob matches nothing or other folders, for tables with a log of their own, and for a
    training part beside a test part; returns no files for a folder that holds other folders or other kinds of files.
    """
    if isinstance(source, str) and is_glob(source):
        above = len(_root(source).parts)
        matches = [path for match in glob.glob(source, recursive=True) if _visible(path := Path(match), above)]
        found = [path for path in matches if path.is_file()]
        for folder in matches if "**" not in source else []:
            if folder.is_dir():
                below = _below(folder)
                if below is None:
                    raise DataError(f"{source} matches {folder}, no folder of part files\n  Give a closer pattern.")
                found += below
        if not found:
            raise DataError(f"{source} matches no file\n  Check the pattern; quote it on a command line.")
    else:
        found = _below(Path(source)) or []
    files = sorted({path for path in found if path.stat().st_size})
    named = [path for path in files if path.name.split(".")[0].lower() in _PARTS]
    if len(named) > 1:
        apart = {_PARTS[path.name.split(".")[0].lower()]: path for path in named}
        typed = " ".join(
            f"--{part} {shlex.quote(str(apart[part]))}" for part in ("data", "valid", "test") if part in apart
        )
        names = " and ".join(path.name for path in named)
        raise DataError(f"{source} holds {names}: for training and judging, not one table\n  Give them apart: {typed}")
    return files


def _root(source: str | Path) -> Path:
    """The folder of a source; of a glob, what stands before its pattern."""
    parts = Path(source).parts
    return Path(*takewhile(lambda part: not glob.has_magic(part), parts) if is_glob(str(source)) else parts)


def _visible(path: Path, above: int = -1) -> bool:
    """Whether a file, or no folder from the part `above` on, is hidden or begins with `_`."""
    return not any(part.startswith(("_", ".")) for part in path.parts[above:])


def _below(folder: Path) -> list[Path] | None:
    """Files of one kind in a folder and its `key=value` folders; None where it is no folder of parts."""
    for log, kind in _LOGS.items():
        if (folder / log).is_dir() and (log != "metadata" or (folder / "data").is_dir()):
            raise DataError(
                f"{folder} is a {kind} table: its log says which files count\n"
                "  Read it with its own reader into a frame, and give the frame."
            )
    found = [path for path in folder.iterdir() if _visible(path)]
    files = [path for path in found if path.is_file()]
    for path in found:
        if path.is_dir():
            below = _below(path) if "=" in path.name else None
            if below is None:
                return None
            files += below
    return files if len({_suffix(path) for path in files}) < 2 else None


def _suffix(path: Path) -> str:
    """The suffix that tells the kind, without that of a compression."""
    return (path.with_suffix("") if path.suffix.lower() in _PACKED else path).suffix.lower()


def read_part_files(
    source: str | Path,
    files: Sequence[Path],
    columns: ColumnNames | None,
    read: Callable[[Path, ColumnNames | None], RawTable],
) -> RawTable:
    """Read files that have the same columns one after another, in the order of their names.

    A key of `key=value` folders serves as a column that is named so, or where its name gives a role away that no column
    of the files has. Raises DataError where columns or keys differ, and as `read` does.
    """
    keys = [_keys(path.relative_to(_root(source))) for path in files]
    if any(set(key) != set(keys[0]) for key in keys):
        raise DataError(f"{source}: the folders of the parts do not have the same keys\n  Give parts of one table.")
    columns, of_key = _roles_of_keys(list(keys[0]), columns or ColumnNames(), lambda named: read(files[0], named))
    tables = [read(path, columns) for path in files]
    for path, table in zip(files, tables, strict=True):
        if set(table.names) != set(tables[0].names) or table.text != tables[0].text or table.roles != tables[0].roles:
            raise DataError(
                f"{source}: the parts do not have the same columns\n"
                f"  {files[0]} has {', '.join(map(short, tables[0].names[:12]))}\n"
                f"  {path} has {', '.join(map(short, table.names[:12]))}\n"
                "  Give the file of ratings, or a glob that matches parts of one table."
            )

    def column(role: str) -> pl.Series:
        if role in of_key:
            values = [key[of_key[role]] for key in keys]
            parts = [_constant(role, value, _height(table)) for value, table in zip(values, tables, strict=True)]
            return pl.concat(parts) if tables[0].text else _whole_numbers(pl.concat(parts))
        return _joined(source, role, [table.column(role) for table in tables])

    numbered = [table.rows for table in tables if table.rows is not None]
    starts = _starts(tables) if numbered else []
    shifted = [rows.cast(pl.Int64) + start for rows, start in zip(numbered, starts, strict=True)]
    rows = pl.concat(shifted) if shifted else None
    origin = Origin(str(source), tables[0].origin.unit, partial(_places, tables))
    notes = [f"{len(files)} part files read", *(note for table in tables for note in table.notes)]
    roles = (*tables[0].roles, *of_key)
    return RawTable(
        roles, column, origin, tables[0].text, tuple(dict.fromkeys(notes)), rows, tables[0].names, tables[0].valued
    )


def _keys(path: Path) -> dict[str, str | None]:
    """The keys and values of the folders that a file lies in."""
    pairs = [folder.partition("=") for folder in path.parts[:-1] if "=" in folder.strip("=")]
    return {unquote(key): None if value == _NULL else unquote(value) for key, _, value in pairs}


def _roles_of_keys(
    keys: Sequence[str], columns: ColumnNames, read: Callable[[ColumnNames], RawTable]
) -> tuple[ColumnNames, dict[str, str]]:
    """Which roles keys have, and what is left to look for in the files."""
    given = columns.given()
    named = {role: given[role] for role in given if given[role] in keys}
    guessed = {role: key for key in keys for role in spelled(key) if getattr(columns, role) is None}
    for role in ASKED:
        guessed.pop(role, None)  # a matter of choice, not of a folder's name
    if guessed:
        own = read(_without(columns, [*guessed, *named])).names
        guessed = {role: key for role, key in guessed.items() if not any(role in spelled(name) for name in own)}
    of_key = guessed | named
    return _without(columns, list(of_key)), of_key


def _without(columns: ColumnNames, roles: Sequence[str]) -> ColumnNames:
    unused: dict[str, Any] = dict.fromkeys(roles, "")
    return replace(columns, **unused)


def _height(table: RawTable) -> int:
    return len(table.rows) if table.rows is not None else len(table.column(table.roles[0]))


def _constant(role: str, value: str | None, height: int) -> pl.Series:
    return pl.Series(role, [value], dtype=pl.String).new_from_index(0, height)


def _whole_numbers(texts: pl.Series) -> pl.Series:
    """Whole numbers as such, as other columns of a typed file are."""
    numbers = texts.cast(pl.Int64, strict=False)
    return numbers if numbers.cast(pl.String).equals(texts, null_equal=True) else texts


def _joined(source: str | Path, role: str, parts: Sequence[pl.Series]) -> pl.Series:
    kinds = list(dict.fromkeys(part.dtype for part in parts))
    if len({kind.is_numeric() for kind in kinds}) > 1 or any(kind.is_nested() for kind in kinds[1:]):
        raise DataError(
            f"{source}: {role} is {' and '.join(map(str, kinds))} in different parts\n"
            "  Write the parts with one type of this column."
        )
    return pl.concat([part.alias(role).to_frame() for part in parts], how="vertical_relaxed").to_series()


def _starts(tables: Sequence[RawTable]) -> list[int]:
    """Where the rows of each part begin when all are counted through."""
    counts = [_height(table) if table.rows is None else max([*table.rows.tail(1), -1]) + 1 for table in tables]
    return [0, *accumulate(counts)][:-1]


def _places(tables: Sequence[RawTable], rows: Sequence[int]) -> list[LinePlace]:
    """Rows that are counted through to the file and the line or row there."""
    starts = _starts(tables)
    found = []
    for row in rows:
        part = bisect_right(starts, row) - 1
        place = tables[part].origin.places([row - starts[part]])[0]
        found.append(replace(place, file=tables[part].origin.name))
    return found

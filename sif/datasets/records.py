"""Reads JSON as a table: JSON Lines, one object a line, or one list of objects. Keys are the columns."""

import json
import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import polars as pl

from sif.datasets.columns import ColumnNames, recognise, short, valued
from sif.datasets.content import Content
from sif.datasets.table import LinePlace, Origin, RawTable, listing
from sif.errors import DataError

__all__ = ["read_records"]

_NAMED_AFTER = 1000  # records whose keys are the columns; a key that comes later cannot be one
_NO_OBJECT = "is not a JSON object. Give objects whose keys are the columns: user_id, item_id, rating, timestamp."
_ONE = "one JSON object is not a table. Write an object a row: frame.to_json(path, orient='records', lines=True)"
_DICTS = "import ast, json, sys; [print(json.dumps(ast.literal_eval(line))) for line in sys.stdin]"


def read_records(content: Content, columns: ColumnNames | None = None) -> RawTable:
    """Read the columns that matter; a key that an object lacks is a missing value.

    Raises DataError, with lines and fixes, for what is not JSON, not an object, or holds lists, objects, or numbers
    here and text there where a user, item, rating or time should stand.
    """
    lines = not content.head.decode("utf-8-sig", errors="replace").lstrip().startswith("[")
    origin = Origin(str(content.path), "line" if lines else "element", partial(_places, content, lines))
    names, place = dict[str, None](), -1
    for place, (_, record) in enumerate(_records(content, lines)):
        if place >= _NAMED_AFTER:
            break
        names |= dict.fromkeys(record)
    if lines and names and place == 0:
        raise DataError(f"{content.path}: {_ONE}")
    found, notes = recognise(list(names), columns, f"{content.path} (JSON)", door="parquet")
    cells: dict[str, list[Any]] = {role: [] for role in found}
    keys = [(list(names)[place], cells[role]) for role, place in found.items()]
    for _, record in _records(content, lines):
        for key, column in keys:
            column.append(record.get(key))
    if "counted" in cells:  # nothing hangs on it, so that it may hold anything
        cells["counted"] = [value if type(value) in (int, float, str) else None for value in cells["counted"]]
    problems = [problem for role, column in cells.items() for problem in _problems(role, column)]
    if problems:
        raise origin.fail(problems, len(problems))
    made = {role: _series(list(names)[found[role]], column) for role, column in cells.items()}
    value = valued(list(names), found)
    return RawTable(tuple(found), made.__getitem__, origin, False, tuple(notes), None, tuple(names), value)


def _records(content: Content, lines: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    """(1-based line or element, object); raises DataError at the first that is none."""
    unit = "line" if lines else "element"
    for number, text, value in _lines(content) if lines else _elements(content):
        if not isinstance(value, dict):
            raise listing(Origin(str(content.path), unit), [(LinePlace(number, text), _NO_OBJECT)], 1)
        yield number, value


def _lines(content: Content) -> Iterator[tuple[int, str, Any]]:
    with content.open() as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                text = raw.decode().strip("\ufeff \t\r\n")
                value = json.loads(text) if text else None
            except ValueError as error:
                raise _broken(content, number, raw.decode(errors="replace").strip(), error) from error
            if text:
                yield number, text, value


def _elements(content: Content) -> Iterator[tuple[int, str, Any]]:
    try:
        whole = json.loads(content.whole().decode("utf-8-sig"))
    except ValueError as error:
        lines = "Extra data: line 2" in str(error)  # a sound array, and then another
        fix = 'Write an object a row, as {"user": 1, "item": 2}' if lines else "Write it again"
        raise DataError(f"{content.path} is not sound JSON: {short(str(error))}\n  {fix}.") from error
    for number, value in enumerate(whole, start=1):
        yield number, "" if isinstance(value, dict) else json.dumps(value), value


def _broken(content: Content, number: int, text: str, error: ValueError) -> DataError:
    """What to do about a line that is not JSON: Python's dicts, one object over many lines, or damage."""
    name = shlex.quote(str(content.path))
    if isinstance(error, UnicodeDecodeError):
        fix = "is not UTF-8. Save the file as UTF-8."
    elif text.startswith(("{'", "{u'")):
        fix = f'is a Python dict, not JSON. Convert it: python -c "{_DICTS}" < {name} > records.jsonl'
    elif number == 1 or not text.startswith("{"):
        fix = _ONE
    else:
        fix = f"is not sound JSON ({short(str(error))}). Mend or delete the line."
    return listing(Origin(str(content.path), "line"), [(LinePlace(number, text), fix)], 1)


def _problems(role: str, column: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """Rows whose values cannot stand in one column."""
    kinds = set(map(type, column)) - {type(None)}
    mixed = role in ("user", "item", "context") and str in kinds and len(kinds) > 1
    if not mixed and not kinds & {dict, list, bool}:
        return
    for row, value in enumerate(column):
        if isinstance(value, dict | list):
            what = "an object" if isinstance(value, dict) else "a list"
            text = f"{role} is {what}, not one value. Name another key, or write the part that counts as a key."
        elif isinstance(value, bool):
            text = f"{role} is {str(value).lower()}, not a number or text. Name another key."
        elif mixed and value is not None and not isinstance(value, str):
            text = f"{role} {value} is a number here, and text in other lines. Write all as text, or all as numbers."
        else:
            continue
        yield row, text


def _series(name: str, column: Sequence[Any]) -> pl.Series:
    """A typed column: numbers as numbers, whole ones exactly; a mix of numbers and text as text."""
    kinds = {type(value) for value in column if value is not None}
    if kinds <= {int, float}:
        kind = pl.Float64 if float in kinds else pl.Int64
        try:
            return pl.Series(name, column, dtype=kind, strict=kind == pl.Int64)
        except (OverflowError, TypeError, pl.exceptions.PolarsError):
            pass
    return pl.Series(name, [None if value is None else str(value) for value in column], dtype=pl.String)


def _places(content: Content, lines: bool, rows: Sequence[int]) -> list[LinePlace]:
    wanted = set(rows)
    found = {}
    source = _lines(content) if lines else _elements(content)
    for row, (number, text, value) in enumerate(source):
        if row in wanted:
            found[row] = LinePlace(number, text or json.dumps(value, ensure_ascii=False))
    return [found[row] for row in rows]

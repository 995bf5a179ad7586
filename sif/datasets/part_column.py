"""A column that says in which part a row is: one table becomes one for each part."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import polars as pl

from sif.datasets.columns import short
from sif.datasets.table import RawTable
from sif.errors import DataError

__all__ = ["told_apart"]

_WORDS = {
    **dict.fromkeys(("0", "train", "training", "trn", "base"), 0),
    **dict.fromkeys(("1", "valid", "validation", "val", "dev", "development"), 1),
    **dict.fromkeys(("2", "test", "testing", "tst", "evaluation", "eval"), 2),
}
_WHICH = "0, 1, 2 or train, valid, test (validation may be missing: then 0, 1 or train, test)"


def told_apart(table: RawTable, test: str = "") -> dict[int, RawTable]:
    """Return the tables of the parts (0 train, 1 validation, 2 test), in this order, without their column.

    Args:
        table: With a column `part`.
        test: The value of the test part, all others being of the training part; empty: the column says parts.

    Raises:
        DataError: It has no such column, or the column says something else, nothing, or one part alone.
    """
    if "part" not in table.roles:
        raise DataError(f"{table.origin.name} has no column that says the part of a row\n  Give parts of their own.")
    said = table.column("part").cast(pl.String).str.strip_chars().str.to_lowercase().str.replace(r"^(\d)\.0+$", "$1")
    values = sorted(said.drop_nulls().unique().to_list())
    places, notes = dict(_WORDS), table.notes
    if test:
        places = dict.fromkeys(values, 0) | {test.lower(): 2}
    _check(table, said, [value for value in values if value not in places])
    if values == ["0", "1"] and not test:
        places["1"], notes = 2, (*notes, "of the parts 0 and 1, the first was taken as training and the second as test")
    part = said.replace_strict(places, return_dtype=pl.Int8)
    roles = tuple(role for role in table.roles if role != "part")
    found = {}
    for place in sorted(part.unique().to_list()):
        rows = (part == place).arg_true()
        numbers = rows if table.rows is None else table.rows.gather(rows)
        found[place] = replace(table, roles=roles, column=_at(table, rows), rows=numbers, notes=notes)
    if test and set(found) != {0, 2}:
        raise DataError(
            f"{table.origin.name}: the column of parts has {', '.join(map(short, values[:12]))}; the rows of {test} "
            "are to be the test part, and others the training part\n  Name another value, or another column."
        )
    if set(found) in ({0}, {1}, {2}, {1, 2}):
        raise DataError(
            f"{table.origin.name}: by their column all rows are {', '.join(map(short, values))}, and a split has a "
            "training part and a validation or test part\n"
            '  Name another column, or none: columns.part = ""'
        )
    return found


def _at(table: RawTable, rows: pl.Series) -> Callable[[str], pl.Series]:
    return lambda role: table.column(role).gather(rows)


def _check(table: RawTable, said: pl.Series, odd: Sequence[str]) -> None:
    """Raise DataError with the first rows whose part is missing, or one of those that are not known."""
    bad = (said.is_null() | said.is_in(odd)).arg_true()
    if not len(bad):
        return
    first = bad.head(5)
    texts = [
        "no part" if value is None else f'part "{short(value)}" is not known' for value in said.gather(first).to_list()
    ]
    rows = [(row, f"{text}; give {_WHICH}") for row, text in zip(table.numbers(first), texts, strict=True)]
    raise table.origin.fail(rows, len(bad))

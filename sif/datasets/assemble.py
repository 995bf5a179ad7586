"""From raw tables to checked interactions: the stated rules on missing values, numbers, times and duplicates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sif.datasets.interactions import Interactions, last_of_each
from sif.datasets.table import SHOWN, Table
from sif.datasets.timestamps import to_seconds
from sif.datasets.vocabulary import Vocabulary, ids_from_text, typed_ids
from sif.errors import DataError

__all__ = ["assemble"]

MIN_ROWS = 10  # below this nothing can be split, let alone learnt

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of one table with their final types, no value missing."""

    ids: dict[str, pl.Series]
    rating: NDArray[np.float32] | None
    timestamp: NDArray[Any] | None
    notes: list[str]


class _Problems:
    """Collects problems of one table column by column; the first few rows of each are enough for the error."""

    def __init__(self) -> None:
        self.listed: list[tuple[int, str]] = []
        self.total = 0

    def add(self, table: Table, bad: pl.Series, text: Any) -> None:
        """Record the rows where `bad` is true; `text(row)` says what is wrong in one, and the fix."""
        places = bad.arg_true()
        self.total += len(places)
        rows = table.frame["row"]
        self.listed += [(int(rows[place]), text(place)) for place in places.head(SHOWN).to_list()]


def assemble(tables: Sequence[Table], *, name: str, source: str) -> tuple[Interactions, IntArray]:
    """Check the tables, give them shared vocabularies, and drop duplicates within each.

    Returns the interactions (tables one after the other) and, int64 [n], the table each row came from.
    Raises DataError with the lines to mend. Of several rows of a (user, item[, context]) the latest is kept, or the
    last one where there are no timestamps; a note says how many went.
    """
    parts = [_typed(table) for table in tables]
    roles = ["user", "item"] + (["context"] if all("context" in part.ids for part in parts) else [])
    notes = [note for table, part in zip(tables, parts, strict=True) for note in (*table.notes, *part.notes)]
    codes, vocabularies = _encode(parts, roles)
    label = np.repeat(np.arange(len(parts)), [len(part.ids["user"]) for part in parts])
    rating, timestamp = _joined([part.rating for part in parts]), _joined([part.timestamp for part in parts])
    key = codes["user"] * np.int64(len(vocabularies["item"])) + codes["item"]
    if "context" in codes:
        key = _dense(key) * np.int64(len(vocabularies["context"])) + codes["context"]
    if len(parts) > 1:
        key = _dense(key) * np.int64(len(parts)) + label
    keep = last_of_each(key, timestamp)
    if len(keep) < len(key):
        which = "latest" if timestamp is not None else "last"
        pairs = "(user, item, context) rows" if "context" in codes else "(user, item) pairs"
        notes.append(f"{len(key) - len(keep)} duplicate {pairs} dropped: kept the {which} of each")
    made = Interactions(
        user=codes["user"][keep],
        item=codes["item"][keep],
        rating=None if rating is None else rating[keep],
        timestamp=None if timestamp is None else timestamp[keep],
        context=codes["context"][keep] if "context" in codes else None,
        users=vocabularies["user"],
        items=vocabularies["item"],
        contexts=vocabularies.get("context"),
        name=name,
        source=source,
        notes=tuple(dict.fromkeys(notes)),
    )
    return made, label[keep]


def check_size(interactions: Interactions) -> Interactions:
    """Raise DataError where there are too few rows, or one user or one item alone; return the interactions else."""
    source, rows = interactions.source, len(interactions)
    if rows == 0:
        raise DataError(f"{source} has no interactions\n  Give at least {MIN_ROWS} rows of user and item.")
    if rows < MIN_ROWS:
        counted = f"{rows} interaction{'s' if rows > 1 else ''}"
        raise DataError(f"{source} has {counted}, too few to split and learn from\n  Give at least {MIN_ROWS}.")
    for what, codes, ids in (
        ("user", interactions.user, interactions.users),
        ("item", interactions.item, interactions.items),
    ):
        if codes.min() == codes.max():
            only = ids.decode(codes[:1])[0]
            raise DataError(
                f'{source} has one {what}, "{only}", in all {rows} rows: there is nothing to tell apart\n'
                f"  Check which column is the {what}, or give data with at least two {what}s."
            )
    return interactions


def _typed(table: Table) -> _Columns:
    frame, problems, notes = table.frame, _Problems(), list[str]()
    ids = dict[str, pl.Series]()
    for role in ("user", "item", "context"):
        if role in frame.columns:
            ids[role] = ids_from_text(frame[role]) if table.text else typed_ids(frame[role])
            problems.add(
                table,
                ids[role].is_null(),
                lambda _, role=role: f"{role} is missing. Fill it in, or delete the {table.origin.unit}.",
            )
    rating = _rating(table, problems) if "rating" in frame.columns else None
    timestamp = None
    if "timestamp" in frame.columns and len(frame) and frame["timestamp"].null_count() == len(frame):
        notes.append("the timestamp column is empty, and not used")
    elif "timestamp" in frame.columns:
        timestamp, said = to_seconds(frame["timestamp"])
        notes += said
        raw = frame["timestamp"]
        problems.add(table, timestamp.is_null(), lambda row: _time_problem(raw[row]))
    if problems.total:
        raise table.origin.fail(problems.listed, problems.total)
    if rating is None:
        notes.append("no rating column: read as implicit feedback")
    return _Columns(
        ids,
        None if rating is None else rating.to_numpy().astype(np.float32, copy=False),
        None if timestamp is None else timestamp.to_numpy(),
        notes,
    )


def _rating(table: Table, problems: _Problems) -> pl.Series:
    raw = table.frame["rating"]
    numbers = raw.cast(pl.Float64, strict=False) if raw.dtype != pl.Object else pl.Series(raw.to_list(), strict=False)
    numbers = numbers.cast(pl.Float64, strict=False)
    rating = numbers.cast(pl.Float32)
    bad = rating.is_null() | ~rating.is_finite().fill_null(True)
    problems.add(table, bad, lambda row: _rating_problem(raw[row], table.origin.unit))
    return rating


def _rating_problem(value: object, unit: str) -> str:
    if value is None or value != value:
        return f"rating is missing. Fill it in, or delete the {unit}."
    text = str(value).strip()
    head, comma, tail = text.partition(",")
    if comma and head.lstrip("+-").isdigit() and tail.isdigit():
        return f'rating "{text}" has a decimal comma. Write {head}.{tail}'
    try:
        float(text)
    except ValueError:
        return f'rating "{text}" is not a number. Write a number, or do not use the column: rating = ""'
    return f'rating "{text}" is not a finite number of single precision. Write a number between -3e38 and 3e38.'


def _time_problem(value: object) -> str:
    fix = 'or do not use the column: timestamp = ""'
    if value is None or value != value:
        return f"timestamp is missing. Fill it in, {fix}"
    return f'timestamp "{value}" is neither epoch seconds nor an ISO date. Write it as 2020-01-31 12:00:00, {fix}'


def _encode(parts: Sequence[_Columns], roles: Sequence[str]) -> tuple[dict[str, IntArray], dict[str, Vocabulary]]:
    codes, vocabularies = {}, {}
    for role in roles:
        columns = [part.ids[role] for part in parts]
        if len({column.dtype for column in columns}) > 1:
            columns = [column.cast(pl.String) for column in columns]
        ids = pl.concat([column.alias(role) for column in columns])
        vocabularies[role] = Vocabulary(ids)
        codes[role] = vocabularies[role].encode(ids)
    return codes, vocabularies


def _joined(columns: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    present = [column for column in columns if column is not None]
    return np.concatenate(present) if len(present) == len(columns) else None


def _dense(key: IntArray) -> IntArray:
    """The same grouping with numbers 0..k-1, so that a further factor cannot overflow."""
    return np.unique(key, return_inverse=True)[1].reshape(-1).astype(np.int64, copy=False)

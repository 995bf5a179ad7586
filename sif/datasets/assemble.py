"""From raw tables to checked interactions: the stated rules on missing values, numbers, times and duplicates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sif.datasets.feedback import met
from sif.datasets.ids import Ids, ids_from_text, one_form, typed_ids
from sif.datasets.interactions import Interactions, last_of_each
from sif.datasets.table import SHOWN, Table
from sif.datasets.timestamps import time_problem, to_seconds
from sif.datasets.values import cell_of, numbers_of, rating_problem
from sif.datasets.vocabulary import Vocabulary
from sif.errors import DataError

__all__ = ["assemble"]

MIN_ROWS = 10  # below this nothing can be split, let alone learnt

IntArray = NDArray[np.int64]


class _Problems:
    """Collects the problems of one table column by column; the first few rows of each are enough for the error."""

    def __init__(self, table: Table) -> None:
        self.table, self.listed, self.total = table, list[tuple[int, str]](), 0

    def add(self, bad: pl.Series, text: Any) -> None:
        """Record the rows where `bad` is true; `text(row)` says what is wrong in one, and the fix."""
        places = bad.arg_true()
        self.total += len(places)
        first = places.head(SHOWN)
        self.listed += zip(self.table.numbers(first), map(text, first.to_list()), strict=True)


def assemble(
    tables: Sequence[Table], *, name: str, source: str, only_met: bool = False
) -> tuple[Interactions, NDArray[np.int8]]:
    """Check the tables, give them shared vocabularies, and drop duplicates within each.

    Returns the interactions (tables one after the other) and, int8 [n], the table each row came from.
    Raises DataError with the lines to mend. Of several rows of a (user, item[, context]) the latest is kept, or the
    last one where there are no timestamps; a note says how many went. Raw columns are asked for one after another.
    """
    problems = [_Problems(table) for table in tables]
    roles = ["user", "item"] + (["context"] if all("context" in table.roles for table in tables) else [])
    codes, vocabularies = dict[str, IntArray](), dict[str, Vocabulary]()
    notes = [list(table.notes) for table in tables]
    for role in roles:
        ids = [_ids(problem, role, said) for problem, said in zip(problems, notes, strict=True)]
        lengths = [len(column) for column in ids]
        if not any(problem.total for problem in problems):
            codes[role], vocabularies[role] = _encode(ids, role, notes[-1])
        del ids
    ratings = [_rating(problem) for problem in problems]
    timestamp = _joined([_timestamp(problem, said) for problem, said in zip(problems, notes, strict=True)])
    for problem, said in zip(problems, notes, strict=True):
        if problem.total:
            raise problem.table.origin.fail(problem.listed, problem.total)
        if "rating" not in problem.table.roles:
            said.append("no rating column: read as implicit feedback")
    label = np.repeat(np.arange(len(tables), dtype=np.int8), lengths)
    rating = _joined(ratings)
    if only_met and rating is not None:
        rows = _met(ratings, tables, notes)
        codes = {role: codes.pop(role)[rows] for role in roles}
        rating, label, timestamp = rating[rows], label[rows], None if timestamp is None else timestamp[rows]
    keep = _kept(codes, vocabularies, timestamp, label if len(tables) > 1 else None)
    remarks = [remark for said in notes for remark in said]
    if len(keep) < len(label):
        which = "latest" if timestamp is not None else "last"
        pairs = "(user, item, context) rows" if "context" in codes else "(user, item) pairs"
        remarks.append(f"{len(label) - len(keep)} duplicate {pairs} dropped: kept the {which} of each")
        codes = {role: codes.pop(role)[keep] for role in roles}  # one at a time, the old one freed
        rating = None if rating is None else rating[keep]
        timestamp = None if timestamp is None else timestamp[keep]
        label = label[keep]
    made = Interactions(
        user=codes["user"],
        item=codes["item"],
        rating=rating,
        timestamp=timestamp,
        context=codes.get("context"),
        users=vocabularies["user"],
        items=vocabularies["item"],
        contexts=vocabularies.get("context"),
        name=name,
        source=source,
        notes=tuple(dict.fromkeys(remarks)),
    )
    return made, label


def _met(ratings: Sequence[NDArray[np.float32] | None], tables: Sequence[Table], notes: list[list[str]]) -> IntArray:
    """The rows of all tables, one after the other, that are rated above 0."""
    found, start = [], 0
    for rating, table, said in zip(ratings, tables, notes, strict=True):
        assert rating is not None
        rows, told = met(rating, table.origin.name)
        found.append(rows + start)
        start += len(rating)
        said += told
    return np.concatenate(found)


def _kept(
    codes: dict[str, IntArray],
    vocabularies: dict[str, Vocabulary],
    timestamp: NDArray[Any] | None,
    label: NDArray[np.int8] | None,
) -> IntArray:
    """Row numbers of the latest row of each (user, item[, context][, table])."""
    key = codes["user"] * np.int64(len(vocabularies["item"]))
    key += codes["item"]
    if "context" in codes:
        key = _dense(key) * np.int64(len(vocabularies["context"])) + codes["context"]
    if label is not None:
        key = _dense(key) * np.int64(int(label[-1]) + 1) + label if len(label) else key
    return last_of_each(key, timestamp)


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


def _ids(problems: _Problems, role: str, notes: list[str]) -> pl.Series:
    table = problems.table
    raw = table.column(role)
    if table.text:
        ids, refused, said = ids_from_text(raw)
    else:
        ids, refused, said = one_form(_trimmed(typed_ids(raw)))
    notes += [f"{role} {note}" for note in said]
    missing = f"{role} is missing. Fill it in, or delete the {table.origin.unit}."
    problems.add(ids.is_null(), lambda row: f"{raw.name} {refused[row]}" if row in refused else missing)
    return ids


def _trimmed(found: Ids) -> Ids:
    """Text of a frame as a file would give it: no blanks around an id, and no id of no letters."""
    ids = found.series
    if ids.dtype != pl.String:
        return found
    bare = ids.str.strip_chars()
    if not (bare != ids).any() and not (ids == "").any():
        return found
    return Ids(bare.set(bare == "", None), found.refused)


def _timestamp(problems: _Problems, notes: list[str]) -> NDArray[Any] | None:
    if "timestamp" not in problems.table.roles:
        return None
    raw = problems.table.column("timestamp")
    if len(raw) and raw.null_count() == len(raw):
        notes.append("the timestamp column is empty, and not used")
        return None
    seconds, said = to_seconds(raw)
    notes += said
    problems.add(seconds.is_null(), lambda row: time_problem(cell_of(raw, row)))
    return seconds.to_numpy(writable=True)


def _rating(problems: _Problems) -> NDArray[np.float32] | None:
    if "rating" not in problems.table.roles:
        return None
    raw = problems.table.column("rating")
    rating = numbers_of(raw)
    bad = rating.is_null() | ~rating.is_finite().fill_null(True)
    problems.add(bad, lambda row: rating_problem(cell_of(raw, row), problems.table.origin.unit))
    return rating.to_numpy(writable=True).astype(np.float32, copy=False)


def _encode(columns: list[pl.Series], role: str, notes: list[str]) -> tuple[IntArray, Vocabulary]:
    if len({column.dtype for column in columns}) > 1:
        columns = [column.cast(pl.String) for column in columns]
    ids = pl.concat([column.alias("ids") for column in columns])
    if len(columns) > 1:
        ids, _, said = one_form(Ids(ids))
        notes += [f"{role} {note}" for note in said]
    vocabulary = Vocabulary(ids)
    return vocabulary.encode(ids), vocabulary


def _joined(columns: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    present = [column for column in columns if column is not None]
    if len(present) < len(columns):
        return None
    return present[0] if len(present) == 1 else np.concatenate(present)


def _dense(key: IntArray) -> IntArray:
    """The same grouping with numbers 0..k-1, so that a further factor cannot overflow."""
    return np.unique(key, return_inverse=True)[1].reshape(-1).astype(np.int64, copy=False)

"""From raw tables to checked interactions: the stated rules on missing values, numbers, times and duplicates."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sif.datasets.columns import ColumnNames
from sif.datasets.feedback import Feedback, feedback_of, met, weighed
from sif.datasets.ids import Ids, ids_from_text, one_form, typed_ids
from sif.datasets.interactions import Interactions, added_up, dropped_note, last_of_each
from sif.datasets.table import SHOWN, RawTable
from sif.datasets.timestamps import time_problem, to_seconds
from sif.datasets.values import cell_of, number_problem, numbers_in
from sif.datasets.vocabulary import Vocabulary
from sif.errors import DataError

__all__ = ["assemble"]

MIN_ROWS = 10  # below this nothing can be split, let alone learnt

IntArray = NDArray[np.int64]


class _Problems:
    """Collects the problems of one table column by column; the first few rows of each are enough for the error."""

    def __init__(self, table: RawTable) -> None:
        self.table, self.listed, self.total = table, list[tuple[int, str]](), 0

    def add(self, bad: pl.Series, text: Any) -> None:
        """Record the rows where `bad` is true; `text(row)` says what is wrong in one, and the fix."""
        places = bad.arg_true()
        self.total += len(places)
        first = places.head(SHOWN)
        self.listed += zip(self.table.numbers(first), map(text, first.to_list()), strict=True)


def assemble(
    tables: Sequence[RawTable], *, name: str, source: str, columns: ColumnNames | None = None
) -> tuple[Interactions, NDArray[np.int8]]:
    """Check the tables, give them shared vocabularies, and drop duplicates within each.

    Returns the interactions (tables one after the other) and, int8 [n], the table each row came from.
    Raises DataError with the lines to mend. Of several rows of a (user, item[, context]) the latest is kept, or the
    last one where there are no timestamps, with the weights of all; a note says how many went. `columns` say what
    counts as met, and whether each row weighs 1 where no column is a weight. Raw columns are asked for one after
    another.
    """
    columns = columns or ColumnNames()
    problems = [_Problems(table) for table in tables]
    roles = ["user", "item"] + (["context"] if all("context" in table.roles for table in tables) else [])
    held, vocabularies = dict[str, Any](), dict[str, Vocabulary]()
    notes = [list(table.notes) for table in tables]
    for role in roles:
        ids = [_ids(problem, role, said) for problem, said in zip(problems, notes, strict=True)]
        lengths = [len(column) for column in ids]
        if not any(problem.total for problem in problems):
            held[role], vocabularies[role] = _encode(ids, role, notes[-1])
        del ids
    ratings, weights = ([_numbers(problem, role) for problem in problems] for role in ("rating", "weight"))
    times = _joined([_timestamp(problem, said) for problem, said in zip(problems, notes, strict=True)])
    for problem in problems:
        if problem.total:
            raise problem.table.origin.fail(problem.listed, problem.total)
    feedback = _feedback(problems, ratings, weights, columns)
    held |= {"timestamp": times, "rating": _joined(ratings), "weight": _joined(weights)}
    held["label"] = np.repeat(np.arange(len(tables), dtype=np.int8), lengths)
    if columns.weight is True and feedback.kind == "counts" and held["weight"] is None and held["rating"] is not None:
        held["weight"] = held["rating"].copy()
    del ratings, weights, times
    for role, rule, wanted in (("rating", met, columns.only_met), ("weight", weighed, True)):
        if held[role] is not None and wanted:
            held = _at(held, _met(held[role], held["label"], tables, notes, rule))
    if columns.repeats and held["weight"] is None:
        held["weight"] = np.ones(len(held["label"]), np.float32)
    remarks = [remark for said in notes for remark in said]
    key = _key(held, vocabularies, len(tables))
    keep = last_of_each(key, held["timestamp"])
    if len(keep) < len(key):
        pairs = "(user, item, context) rows" if "context" in held else "(user, item) pairs"
        added = ", and their weights added up" if held["weight"] is not None else ""
        remarks.append(dropped_note(len(key) - len(keep), held["timestamp"] is not None, pairs) + added)
        weight = None if held["weight"] is None else added_up(key, held["weight"], keep)
        held = _at(held, keep) | {"weight": weight}
    label = held.pop("label")
    made = Interactions(
        **{"context": None, **held},
        users=vocabularies["user"],
        items=vocabularies["item"],
        contexts=vocabularies.get("context"),
        name=name,
        source=source,
        notes=tuple(dict.fromkeys(remarks)),
        feedback=feedback,
    )
    return made, label


Rule = Callable[[NDArray[np.float32], str], tuple[IntArray, list[str]]]


def _met(
    values: NDArray[np.float32], label: NDArray[np.int8], tables: Sequence[RawTable], notes: list[list[str]], rule: Rule
) -> IntArray:
    """The rows of all tables, one after the other, that a rule says were met."""
    found, starts = [], np.searchsorted(label, np.arange(len(tables) + 1))
    for place, (table, said) in enumerate(zip(tables, notes, strict=True)):
        rows, remarks = rule(values[starts[place] : starts[place + 1]], table.origin.name)
        found.append(rows + starts[place])
        said += remarks
    return np.concatenate(found)


def _at(held: dict[str, Any], rows: IntArray) -> dict[str, Any]:
    """The columns at these rows, made one after the other, each old one freed."""
    return {role: None if (values := held.pop(role)) is None else values[rows] for role in list(held)}


def _key(held: dict[str, Any], vocabularies: dict[str, Vocabulary], tables: int) -> IntArray:
    """One number for each (user, item[, context][, table])."""
    key: IntArray = held["user"] * np.int64(len(vocabularies["item"]))
    key += held["item"]
    if "context" in held:
        key = _dense(key) * np.int64(len(vocabularies["context"])) + held["context"]
    return key if tables == 1 else _dense(key) * np.int64(tables) + held["label"]


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


def _numbers(problems: _Problems, role: str) -> NDArray[np.float32] | None:
    if role not in problems.table.roles:
        return None
    raw = problems.table.column(role)
    numbers = numbers_in(raw)
    bad = numbers.is_null() | ~numbers.is_finite().fill_null(True)
    problems.add(bad, lambda row: number_problem(cell_of(raw, row), problems.table.origin.unit, role))
    return numbers.to_numpy(writable=True).astype(np.float32, copy=False)


def _feedback(
    problems: list[_Problems],
    ratings: list[NDArray[np.float32] | None],
    weights: list[NDArray[np.float32] | None],
    columns: ColumnNames,
) -> Feedback:
    """What all rows of the tables say, those of 0 or less too; counts that are not used may have any values."""
    values = _joined(ratings)
    if values is None:
        values = _joined(weights)
    if values is None and all("counted" in problem.table.roles for problem in problems):
        numbers = [numbers_in(problem.table.column("counted")) for problem in problems]
        known = pl.concat([column.alias("counted") for column in numbers]).drop_nulls()
        values = known.filter(known.is_finite()).to_numpy()
    if values is not None:
        return feedback_of(values, problems[0].table.valued, columns.feedback or None)
    table, told = problems[0].table, feedback_of(None, said=columns.feedback or None)
    doubt = columns.rating is None and not columns.feedback and len(table.names) > len(table.roles)
    return replace(told, sure=not doubt)  # one of the other columns may be values under a name of its own


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

"""Splits that come with the data, as files or as a column: a training part, and a validation or test part or both."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sif.datasets.assemble import assemble, check_size
from sif.datasets.columns import ColumnNames, test_value
from sif.datasets.interactions import Interactions, canonical_order, pair_key
from sif.datasets.part_column import told_apart
from sif.datasets.readers import Reader
from sif.datasets.reading import load_table
from sif.datasets.splits import Split, from_labels
from sif.datasets.table import RawTable
from sif.errors import DataError

__all__ = ["read_parts"]

_NAMES = ("train", "validation", "test")


def read_parts(
    train: Any,
    valid: Any = None,
    test: Any = None,
    columns: ColumnNames | None = None,
    seed: int = 0,
    fraction: float = 0.2,
    reader: Reader | str | None = None,
) -> tuple[Interactions, Split]:
    """Read parts into one Interactions with shared vocabularies, and the Split they make.

    A part that is not given is cut from train at random (noted).

    Args:
        train: What `read` takes, and so are the others; with `columns.part` all rows, of which that column says the
            part: 0, 1, 2 (0 and 1 alone: training and test), or words such as train, valid and test; or with
            "fold=1" the rows of one fold are the test part.
        valid: The validation part; None: cut from train.
        test: The test part; None: cut from train.
        columns: Which columns are what; None: by their names.
        seed: Of the cut.
        fraction: Of the rows of train, for a part that is cut.
        reader: As in `read`.

    Raises:
        DataError: Neither part is given, parts have other columns, a (user, item[, context]) is in more than one part,
            the column says something else; and as `read` does.
    """
    by_column = columns is not None and bool(columns.part)
    if valid is None and test is None and not by_column:
        raise DataError("no validation and no test part was given\n  Give one, or read the data and use a split.")
    if not 0 < fraction < 0.5:
        raise DataError(f"fraction {fraction:g} of train cannot be held out\n  Give a number above 0 and below 0.5.")
    sources = {part: source for part, source in enumerate((train, valid, test)) if source is not None}
    if by_column and len(sources) > 1:
        raise DataError("parts are given as a column and as sources of their own\n  Give one of the two.")
    if columns is not None and by_column:
        apart = told_apart(load_table(train, columns, reader), test_value(str(columns.part)))
    else:
        apart = {part: load_table(source, columns, reader) for part, source in sources.items()}
    part_of, tables = list(apart), list(apart.values())
    notes = _same_columns(tables)
    origin = " + ".join(dict.fromkeys(table.origin.name for table in tables))
    made, table_of = assemble(tables, name=tables[0].origin.name, source=origin, columns=columns)
    for place, table in enumerate(tables):
        if not (table_of == place).any():
            raise DataError(
                f"{table.origin.name} has no interactions\n  Give a {_NAMES[part_of[place]]} part with rows."
            )
    check_size(made)
    labels = np.array(part_of, np.int8)[table_of]
    _check_disjoint(made, labels)
    order = canonical_order(made)
    ordered = labels[order]
    missing_parts = sorted({1, 2} - set(part_of))
    for missing in missing_parts:
        count = _cut(ordered, missing, seed, fraction)
        notes.append(f"no {_NAMES[missing]} part given: {count} rows of train drawn for it (seed {seed})")
    cut = from_labels(made, order, ordered, ("column" if by_column else "files", seed, None), notes)
    return made, replace(cut, drawn=tuple(("train", "valid", "test")[missing] for missing in missing_parts))


def _same_columns(tables: Sequence[RawTable]) -> list[str]:
    """Ratings, contexts and weights must be in all parts or in none; times are then not used."""
    notes = []
    for role in ("rating", "context", "weight", "timestamp"):
        having = [table.origin.name for table in tables if role in table.roles]
        lacking = [table.origin.name for table in tables if role not in table.roles]
        if not having or not lacking:
            continue
        if role == "timestamp":
            notes.append(f"timestamps not used: {', '.join(lacking)} has none")
            continue
        unused = "ranking.weight=none" if role == "weight" else f"columns.{role}="
        raise DataError(
            f"{having[0]} has a {role} column, {lacking[0]} has none\n"
            f'  Add it there, or do not use it anywhere: --set {unused} (in Python {role} = "")'
        )
    return notes


def _check_disjoint(made: Interactions, labels: NDArray[np.int8]) -> None:
    key = pair_key(made)
    if made.context is not None and made.contexts is not None:
        key = np.unique(key, return_inverse=True)[1].reshape(-1) * np.int64(len(made.contexts)) + made.context
    order = np.argsort(key, kind="stable")
    again = np.flatnonzero(key[order][1:] == key[order][:-1])
    if not len(again):
        return
    rows = order[[again[0], again[0] + 1]]
    parts = " and ".join(_NAMES[part] for part in sorted(labels[rows].tolist()))
    user, item = made.users.decode(made.user[rows[:1]])[0], made.items.decode(made.item[rows[:1]])[0]
    raise DataError(
        f"{made.source}: {len(again)} (user, item) pairs are in more than one part, "
        f'first user "{user}" and item "{item}" in {parts}\n'
        "  Remove them from one part: what was seen in training tells nothing in a test."
    )


def _cut(labels: NDArray[np.int8], part: int, seed: int, fraction: float) -> int:
    """Move a share of the training rows to `part`, in place; return how many."""
    rows = np.flatnonzero(labels == 0)
    count = max(1, int(len(rows) * fraction + 0.5))
    if count >= len(rows):
        raise DataError(f"the training part has {len(rows)} interactions, too few to cut a {_NAMES[part]} part from")
    drawn = np.argsort(np.random.PCG64(seed).random_raw(len(rows)), kind="stable")[:count]
    labels[rows[drawn]] = part
    return count

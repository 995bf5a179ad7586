"""Splits that come as separate files: a training part, and a validation part, a test part or both."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sif.datasets.assemble import assemble, check_size
from sif.datasets.columns import ColumnNames
from sif.datasets.interactions import Interactions, canonical_order, pair_key
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
    """Read parts from sources of their own into one Interactions with shared vocabularies, and the Split they make.

    A part that is not given is cut from train at random (noted).

    Args:
        train: What `read` takes, and so are the others.
        valid: The validation part; None: cut from train.
        test: The test part; None: cut from train.
        columns: Which columns are what; None: by their names.
        seed: Of the cut.
        fraction: Of the rows of train, for a part that is cut.
        reader: As in `read`.

    Raises:
        DataError: Neither part is given, parts have other columns, a (user, item[, context]) is in more than one part;
            and as `read` does.
    """
    if valid is None and test is None:
        raise DataError("no validation and no test part was given\n  Give one, or read the data and use a split.")
    if not 0 < fraction < 0.5:
        raise DataError(f"fraction {fraction:g} of train cannot be held out\n  Give a number above 0 and below 0.5.")
    sources = {0: train, 1: valid, 2: test}
    part_of = [part for part, source in sources.items() if source is not None]
    tables = [load_table(sources[part], columns, reader) for part in part_of]
    notes = _same_columns(tables)
    origin = " + ".join(table.origin.name for table in tables)
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
    for missing in sorted({1, 2} - set(part_of)):
        count = _cut(ordered, missing, seed, fraction)
        notes.append(f"no {_NAMES[missing]} part given: {count} rows of train drawn for it (seed {seed})")
    return made, from_labels(made, order, ordered, ("files", seed, None), notes)


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

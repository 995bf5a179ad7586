"""What a caller asks for: numbers of users and items, raw ids, how many places, rows of new users. All are checked."""

import operator
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from sif.datasets.interactions import last_of_each
from sif.errors import DataError

__all__ = ["asked_rows", "count_of", "in_a_list", "numbers_of"]

IntArray = NDArray[np.int64]
_MOST = 1_000_000  # places beyond the catalogue are padding; more of it than this is a slip


def count_of(value: Any, name: str, known: int = 0) -> int:
    """Return how many items are asked for, as an int.

    Args:
        value: An int of Python or numpy, 1 or more.
        name: What the caller calls it, for the message.
        known: Number of items that there are.

    Raises:
        DataError: It is no whole number (bools are none), below 1, or beyond all that could be meant.
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        count = operator.index(value)
    except TypeError:
        whole = isinstance(value, float | np.floating) and float(value).is_integer()
        fix = f"such as {name}={int(value) if whole else 10}"
        raise DataError(f"{name} = {value!r}; ask for a whole number of items, {fix}") from None
    if count < 1:
        raise DataError(f"{name} = {count}; ask for 1 item or more")
    if count > max(known, _MOST):
        raise DataError(f"{name} = {count}; ask for {max(known, _MOST)} items at most")
    return count


def numbers_of(
    asked: Any, size: int, what: str, name: str, *, ordered: bool = False, known: bool = True
) -> tuple[IntArray, bool]:
    """Return the numbers that are asked for, int64 `[n]`, and whether it was a single one.

    Args:
        asked: One whole number, a sequence, set, range, generator, array, tensor or column of them, or a boolean mask
            of length `size`, which selects.
        size: How many there are: numbers lie in 0..size-1.
        what: "user" or "item", for messages.
        name: The argument's name, for messages.
        ordered: Whether the order matters, so that a set cannot be meant.
        known: Whether numbers outside 0..size-1 are refused.

    Raises:
        DataError: It is something else, a mask of another length, or holds a number that is unknown.
    """
    values = _array(asked, what, name, ordered)
    if values.ndim > 1:
        raise DataError(
            f"{name} has shape {values.shape}; give the {what}s in one row, such as np.unique({name}) for all in it"
        )
    if values.dtype == bool:
        return _selected(values, size, what, name), False
    numbers = _whole(values.reshape(-1), what, name)
    outside = (numbers < 0) | (numbers >= size) if known else np.zeros(len(numbers), bool)
    if outside.any():
        raise DataError(_unknown(numbers[outside][0], size, what, name))
    return numbers.astype(np.int64), values.ndim == 0


def _array(asked: Any, what: str, name: str, ordered: bool) -> NDArray[Any]:
    if isinstance(asked, str | bytes | Mapping) or sparse.issparse(asked) or asked is None:
        raise DataError(_refused(asked, what, name))
    if ordered and isinstance(asked, Set):
        raise DataError(f"{name} is a set, and answers come in the order of the {what}s; give a list")
    if isinstance(asked, Tensor):
        asked = asked.detach().cpu()
        asked = asked.double().numpy() if asked.is_floating_point() else asked.numpy()
    elif hasattr(asked, "to_numpy"):  # a column or index of pandas or polars
        asked = asked.to_numpy()
    elif isinstance(asked, Iterable) and not hasattr(asked, "__array__"):
        asked = list(asked)
        flags = sum(isinstance(each, bool | np.bool_) for each in asked)
        if 0 < flags < len(asked):
            raise DataError(f"{name} holds both True or False and numbers; give numbers, or a mask of all {what}s")
    if np.ma.is_masked(asked):
        raise DataError(f"{name} has masked entries; give those that are meant: {name}.compressed()")
    try:
        values = np.asarray(asked)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(_refused(asked, what, name)) from None
    if values.dtype == object and values.size and all(isinstance(each, bool | np.bool_) for each in values.flat):
        values = values.astype(bool)
    return values.astype(np.int64) if values.size == 0 and values.dtype != bool else values


def _selected(mask: NDArray[Any], size: int, what: str, name: str) -> IntArray:
    """Return what a mask selects."""
    if mask.ndim == 0:
        raise DataError(f"{name} is {mask}, neither a number nor a mask; give numbers of {what}s")
    if len(mask) != size:
        raise DataError(f"{name} is a mask of {len(mask)}, and there are {size} {what}s; give one flag for each")
    return np.flatnonzero(mask).astype(np.int64)


def _whole(values: NDArray[Any], what: str, name: str) -> NDArray[Any]:
    """Return values as they are where all are whole numbers, in a type that holds them."""
    if values.dtype == object:
        if not all(_is_whole(each) for each in values):
            bad = next(each for each in values if not _is_whole(each))
            raise DataError(_refused(bad, what, name))
        return np.array([int(each) for each in values], dtype=object)
    if values.dtype.kind == "f":
        bad = values[~(np.isfinite(values) & (np.floor(values) == values))]
        if len(bad):
            raise DataError(f"{name} holds {bad[0]}, which is no whole number; give numbers of {what}s")
    elif values.dtype.kind not in "iu":
        raise DataError(_refused(values[0], what, name))
    return values


def _is_whole(value: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return False
    return hasattr(value, "__index__") or (isinstance(value, float) and value.is_integer())


def _refused(value: Any, what: str, name: str) -> str:
    shown = repr(value) if len(repr(value)) <= 40 else f"a {type(value).__name__}"
    text = " (a raw id is one for the run: sif.load(run).recommend(id))" if isinstance(value, str) else ""
    return f"{name} holds {shown}; give numbers of {what}s, or a boolean mask of all{text}"


def _unknown(number: Any, size: int, what: str, name: str) -> str:
    fix = ""
    if number == -1 and name not in ("userid", "itemid"):
        fix = f"; -1 fills the places that nothing is left for: give ids[ids >= 0] as {name}"
    elif what == "user" and name == "userid":
        fix = "; for a new user give recalculate_user=True and their row"
    return f"unknown {what} {int(number)}: this model knows {what}s 0 to {size - 1}{fix}"


def asked_rows(matrix: Any, users: int, items: int, *, rated: bool | None = None) -> sparse.csr_array:
    """Return rows of users as a CSR array `[users, items]`, checked as those of `fit` are.

    Args:
        matrix: A scipy sparse matrix or array of any format, one row per user; one row may be one-dimensional.
        users: How many rows there must be.
        items: How many columns.
        rated: None where only the places of stored entries count, zeros too. Otherwise entries are histories: stored
            zeros are dropped and repeated entries keep the last one, and they are ratings (True) or clicks (False).

    Raises:
        DataError: It is no sparse matrix, of another shape, or holds what no rating or no click can be.
    """
    rows = matrix_of(matrix)
    rows = rows.reshape(1, -1) if rows.ndim == 1 else rows
    if rows.shape[0] != users:
        raise DataError(
            f"user_items has {rows.shape[0]} rows for {users} requested user(s); give one row per user, in "
            "their order: recommend(userid, user_items[userid])"
        )
    if rows.shape[1] != items:
        raise DataError(f"user_items has {rows.shape[1]} columns; this model knows {items} items")
    entries = sparse.csr_array(rows) if rated is None else sparse.coo_array(rows)  # a CSR adds up what is repeated
    column, values = entries.indices if rated is None else entries.col, entries.data
    if len(column) and int(column.max()) >= items:
        raise DataError(f"user_items is damaged: an entry has column {column.max()} of {items}")
    _check_values(entries, values, rated)
    if rated is None:
        return entries
    keep = np.flatnonzero(values)
    row, column, values = (each[keep] for each in (entries.row.astype(np.int64), column.astype(np.int64), values))
    last = last_of_each(row * items + column, None)
    order = last[np.lexsort((column[last], row[last]))]
    starts = np.concatenate([[0], np.bincount(row[last], minlength=users).cumsum()])
    return sparse.csr_array((values[order].astype(np.float32), column[order], starts), shape=(users, items))


def _check_values(entries: Any, values: NDArray[Any], rated: bool | None) -> None:
    if values.dtype.kind not in "biuf":
        raise DataError(f"user_items holds values of type {values.dtype}; give numbers")
    if rated and values.dtype == bool and len(values):
        raise DataError("user_items is boolean, and this model predicts ratings; give the ratings themselves")
    with np.errstate(over="ignore"):
        checks = [
            (~np.isfinite(values.astype(np.float32)), "which no rating can be", "Replace it by a finite number, or")
        ]
    if rated is False:
        checks.append((values < 0, "and this model ranks what users took", "Of what they did not take,"))
    for bad, why, fix in checks:
        if bad.any():
            at = int(np.argmax(bad))
            places = entries.tocoo()
            raise DataError(
                f"user_items: the entry at row {places.row[at]}, column {places.col[at]} is {values[at]}, {why}\n"
                f"  {fix} remove the entry."
            )


def matrix_of(matrix: Any) -> Any:
    """Return a scipy sparse matrix or array, entries in the order of rows; raises `DataError` for anything else."""
    if not sparse.issparse(matrix):
        frame = " (of a sparse frame: frame.sparse.to_coo())" if hasattr(matrix, "sparse") else ""
        raise DataError(
            f"user_items is a {type(matrix).__name__}; give a scipy sparse matrix [users, items], "
            f"such as scipy.sparse.csr_matrix{frame}"
        )
    if matrix.format == "csr" or matrix.ndim == 1:
        return matrix
    entries = sparse.coo_array(matrix)  # not by a CSR, which adds up what is repeated
    order = np.lexsort((entries.col, entries.row))
    return sparse.coo_array((entries.data[order], (entries.row[order], entries.col[order])), shape=entries.shape)


def in_a_list(ids: Any, what: str, name: str) -> list[Any]:
    """Return raw ids as a list.

    Args:
        ids: A list, column or array.
        what: `user` or `item`, for messages.
        name: The argument's name, for messages.

    Raises:
        DataError: It is a single id, a mask, or no list of ids.
    """
    if isinstance(ids, str | bytes | Mapping) or not isinstance(ids, Iterable):
        raise DataError(f"{name} is {ids!r}; give a list of {what}s, such as [{ids!r}]")
    listed = list(ids)
    if any(isinstance(each, bool | np.bool_) for each in listed):
        raise DataError(f"{name} holds True or False; give the {what}s' own ids")
    return listed

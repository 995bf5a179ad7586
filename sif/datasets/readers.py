"""Readers from outside: what makes a table of a source that nothing here can read."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from sif.errors import DataError
from sif.extend import names_of, object_name, resolve

__all__ = ["Reader", "claimed_by", "reader_name", "reader_of"]


@runtime_checkable
class Reader(Protocol):
    """Makes a frame of a source; an object, or a class that is called without arguments."""

    def reads(self, source: Any) -> bool:
        """Return whether it can read a source: a path, a URL, whatever `sif.read` is given. Reads nothing yet."""
        ...

    def frame(self, source: Any) -> Any:
        """Return the rows as a pandas or polars DataFrame, or an Arrow table; columns are named as in files."""
        ...


def reader_of(given: Any) -> Reader:
    """Return a reader by its name (an entry point of `sif.readers`, `package.module:object`), or as it is.

    Raises `DataError` where there is none, and for what is no reader.
    """
    made = resolve("reader", given, error=DataError) if isinstance(given, str) else given
    try:
        made = made() if isinstance(made, type) else made
    except TypeError as error:
        raise DataError(f"reader {given!r} cannot be made without arguments: {error}") from error
    if not isinstance(made, Reader):
        raise DataError(f"reader {given!r} is of type {type(made).__name__}; it needs reads(source) and frame(source)")
    return made


def reader_name(given: Any) -> str:
    """Return the name by which a recipe finds a reader again; raises `DataError` where none does."""
    reader = reader_of(given)
    if isinstance(given, str):
        return given
    if name := object_name(given):
        return name
    kind = type(reader)
    raise DataError(
        f"reader {given!r} cannot be found again by name, so no recipe could say what it is: "
        f"give it a name in its module ({kind.__module__}), as MINE = {kind.__qualname__}(...)"
    )


def claimed_by(source: Any) -> Reader | None:
    """Return the first reader among the entry points that can read a path or a text; None where none can."""
    if not isinstance(source, str | Path) or not str(source):
        return None
    return next((reader for reader in map(reader_of, names_of("reader", {})) if reader.reads(source)), None)

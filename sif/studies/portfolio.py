"""The portfolio: configurations that are tried first on a table that nobody has seen."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from sif.resources import resource_dir

__all__ = ["entries_of", "leaving_out"]

_FILE, _TABLE = "portfolio.json", "portfolio.parquet"
_left_out: ContextVar[frozenset[str]] = ContextVar("left_out", default=frozenset())


@cache
def _read() -> dict[str, list[dict[str, Any]]]:
    text = (resource_dir("data") / "tables" / _FILE).read_text(encoding="utf-8")
    made: dict[str, list[dict[str, Any]]] = json.loads(text)["entries"]
    return made


@cache
def _without(tables: frozenset[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the entries of a cover of the other tables; those that ship where no table is kept beside them."""
    from sif.studies.portfolio_table import entries_text, read_portfolio

    path = resource_dir("data") / "tables" / _TABLE
    made: dict[str, list[dict[str, Any]]] = (
        json.loads(entries_text(read_portfolio(path), tables))["entries"] if path.is_file() else _read()
    )
    return made


def entries_of(task: str) -> list[dict[str, Any]]:
    """Return the entries for a task, best first: `choices` and `settings` of each; none for a task without any."""
    tables = _left_out.get()
    return (_without(tables) if tables else _read()).get(task, [])


@contextmanager
def leaving_out(tables: Iterable[str]) -> Iterator[None]:
    """Let studies begin, for a block, as if the portfolio had been made without some tables: they are judged on these.

    Args:
        tables: Of the suite that the portfolio was made of, by name.
    """
    before = _left_out.set(frozenset(tables))
    try:
        yield
    finally:
        _left_out.reset(before)

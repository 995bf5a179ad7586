"""SQLite: the table `ratings` of a database file."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl


class SQLite:
    """Read the table `ratings` of a file that ends in .sqlite."""

    def reads(self, source: Any) -> bool:
        """Return whether a source is such a file."""
        return isinstance(source, str | Path) and Path(source).suffix == ".sqlite" and Path(source).is_file()

    def frame(self, source: Any) -> pl.DataFrame:
        """Return all rows; columns are recognised by name, as in a CSV."""
        with closing(sqlite3.connect(source)) as database:
            return pl.read_database("SELECT * FROM ratings", database)

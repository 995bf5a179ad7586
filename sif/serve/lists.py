"""Lists of recommendations as a file: CSV, JSON Lines or Parquet."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from sif.checkpoint import writing
from sif.errors import RunError

__all__ = ["LIST_SUFFIXES", "write_lists"]

LIST_SUFFIXES = (".csv", ".jsonl", ".parquet")


def write_lists(frames: Iterable[pl.DataFrame], path: str | Path, *, force: bool = False) -> int:
    """Write frames of `Run.lists` to one file, whole or not at all, and return the number of rows.

    Args:
        frames: One or more, of the same columns. CSV and JSON Lines are written a frame at a time.
        path: The file; its suffix, one of `LIST_SUFFIXES`, is the format.
        force: Whether a file that is there is replaced.

    Raises:
        RunError: Another suffix, a file that is there, or one that cannot be written.
    """
    path, rows = Path(path), 0
    if path.suffix not in LIST_SUFFIXES:
        raise RunError(f"cannot write lists to {path}: its name must end in {', '.join(LIST_SUFFIXES)}")
    if path.is_file() and not force:
        raise RunError(f"{path} exists; give another --out, or --force to replace it")
    with writing(path, fix="give another --out") as file:
        if path.suffix == ".parquet":
            whole = pl.concat(list(frames))
            whole.write_parquet(file)
            return len(whole)
        for number, frame in enumerate(frames):
            rows += len(frame)
            if path.suffix == ".csv":
                frame.write_csv(file, include_header=number == 0)
            else:
                frame.write_ndjson(file)
    return rows

"""The trainings of a table as one Parquet file: a row each, and how they were made."""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from sif.checkpoint import write_atomically
from sif.tabular.keys import KEY_COLUMNS

__all__ = ["TABLE_FACTS", "write_table"]

TABLE_FACTS = "made"
"""The column that says in JSON how the table was made, the same in every row."""
_PLAIN = {
    "seed": pl.Int16,
    "parameters": pl.Int32,
    "seconds": pl.Float32,
    "epoch": pl.Int16,
    "failed": pl.Boolean,
    "curve": pl.List(pl.Float32),
}
_LEFT_OUT = "rmse_standardised"  # rmse over the deviation of the training ratings


def write_table(records: Iterable[Mapping[str, Any]], header: Mapping[str, Any], out: Path) -> None:
    """Write the records of trainings as Parquet; an existing file is replaced once the new one is whole.

    Columns: `task`, those of `KEY_COLUMNS`, `seed`, `parameters`, `seconds` (of one core), `epoch` (of the weights),
    `failed` (diverged: no metrics), `curve` (validation metric of each evaluated epoch), `valid_NAME` and `test_NAME`
    of each metric (null of the other task), and `made`.
    """
    rows = sorted(map(_row, records), key=lambda row: (row["task"], row["seed"]))
    names = sorted({name for row in rows for name in row if name.startswith(("valid_", "test_"))})
    schema: dict[str, Any] = {
        "task": pl.String,
        **dict.fromkeys(KEY_COLUMNS, pl.String),
        **_PLAIN,
        **dict.fromkeys(names, pl.Float32),
    }
    frame = pl.DataFrame(rows, schema=schema).with_columns(pl.lit(json.dumps(header)).alias(TABLE_FACTS))
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=19)
    write_atomically(out, buffer.getvalue())


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    row = {"task": record["task"], **dict(zip(KEY_COLUMNS, record["point"], strict=True))}
    row |= {name: record[name] for name in _PLAIN}
    for part in ("valid", "test"):
        row |= {f"{part}_{name}": value for name, value in record[part].items() if name != _LEFT_OUT}
    return row

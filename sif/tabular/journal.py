"""What has been trained so far: one line of JSON a training, only ever added to."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from sif.errors import DataError

__all__ = ["Journal"]


class Journal:
    """A file of JSON lines: a header, then records; a last line that a kill cut short is dropped on opening.

    The header says what the records are of. Opening a file with another header raises `DataError`: its records would
    not go with the new ones.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path, self.records = path, list[dict[str, Any]]()
        wanted = json.loads(json.dumps(header))
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        parsed = [self._parse(number, line) for number, line in enumerate(whole, 1)]
        if parsed and parsed[0] != wanted:
            keys = sorted(key for key in {*parsed[0], *wanted} if parsed[0].get(key) != wanted.get(key))
            raise DataError(
                f"{path} holds trainings of another table: {', '.join(keys)} differ\n"
                "  Give another --out, or remove the file to begin again."
            )
        self.records = parsed[1:]
        if len(whole) < len(lines):
            with path.open("r+b") as file:
                file.truncate(sum(map(len, whole)))
        self._file = path.open("ab")
        if not parsed:
            self._write(wanted)

    def _parse(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError):
            raise DataError(
                f"{self.path}, line {number} is no record of a training\n  Remove the line: it is trained again."
            ) from None

    def add(self, record: dict[str, Any]) -> None:
        """Append a record; it is in the file when this returns."""
        self._write(record)
        self.records.append(record)

    def _write(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

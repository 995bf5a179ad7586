"""The rows of `sif strategies ls` as they are kept beside the package, and whether they are still true."""

import hashlib
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sif.resources import resource_dir

__all__ = ["fresh_rows", "kept_rows", "sources", "table_text"]

_SOURCES = ("methods", "parts", "trials")
"""Where in nasp_core names, docstrings and parts come from."""


def sources() -> str:
    """Return a fingerprint of the code that the rows are read from; imports none of it."""
    spec = find_spec("nasp_core")
    folder = Path(str(spec.origin)).parent if spec is not None else Path()
    files = sorted(file for room in _SOURCES for file in (folder / room).rglob("*.py"))
    text = b"".join(file.relative_to(folder).as_posix().encode() + file.read_bytes() for file in files)
    return hashlib.sha256(text.replace(b"\r\n", b"\n")).hexdigest()[:16]


@cache
def _kept() -> dict[str, Any]:
    path = resource_dir("data") / "tables" / "strategies.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"sources": "", "rows": []}


def kept_rows() -> dict[str, dict[str, Any]]:
    """Return the rows that were kept, by name; of strategies that changed since, what was true then."""
    return {row["name"]: row for row in _kept()["rows"]}


@cache
def fresh_rows() -> dict[str, dict[str, Any]] | None:
    """Return the rows that were kept; None where the code has changed since."""
    return kept_rows() if _kept()["sources"] == sources() else None


def table_text(rows: list[dict[str, Any]]) -> str:
    """Return the content of the file that keeps the rows (written by benchmarks/strategy_rows.py)."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f'{{"sources": "{sources()}", "rows": [\n{lines}\n]}}\n'

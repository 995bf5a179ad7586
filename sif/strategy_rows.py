"""The rows of `sif strategies`: kept beside the package, so that nobody waits for them to be counted again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sif.extend import names_of
from sif.resources import resource_dir

__all__ = ["describe_strategy", "kept_rows", "parts_in_short", "sources", "strategy_rows", "table_text"]

_SOURCES = ("methods", "parts", "trials")
"""Where in nasp_core names, docstrings and parts come from."""


def strategy_rows() -> list[dict[str, Any]]:
    """Return one row of plain data a strategy, in the order of the name table, then those of entry points.

    Keys as in `describe_strategy`.
    """
    known: Mapping[str, Any] | None = _fresh_rows()
    if known is None:
        from nasp_core.methods import STRATEGIES

        known = STRATEGIES
    return [describe_strategy(name) for name in names_of("strategy", known)]


def describe_strategy(name: str) -> dict[str, Any]:
    """Return what a strategy says of itself, as plain data; raises `StrategyError` with the nearest name.

    Keys: `name`, `kind` (`relaxing` or `trial`), `about` (the first line of its docstring), `papers`, `parts` (role ->
    part as text), `settings` (name -> default), `notes` (what its docstring says of departures and failures), `spaces`
    (space -> whether it runs there), `refused` (space -> reasons why not), `step_cost` (see
    `sif.strategies.step_cost`), `bibtex`.
    """
    kept = _fresh_rows()
    if kept is not None and name in kept:
        return dict(kept[name])
    from sif.strategies import described

    return described(name)


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
def _fresh_rows() -> dict[str, dict[str, Any]] | None:
    return kept_rows() if _kept()["sources"] == sources() else None


def table_text(rows: list[dict[str, Any]]) -> str:
    """Return the content of the file that keeps the rows (written by benchmarks/strategy_rows.py)."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f'{{"sources": "{sources()}", "rows": [\n{lines}\n]}}\n'


def parts_in_short(row: Mapping[str, Any]) -> str:
    """Return the parts of a row of `strategy_rows` by their names alone: `Box, OneHot, FirstOrder, Argmax`."""
    if row["kind"] == "trial":
        return re.sub(r"\(.*", "", row["parts"]["trials"])
    names = []
    for text in row["parts"].values():
        names += re.findall(r"(?:^|, )([A-Z]\w*)\(", _flat(text))
    return ", ".join(names)


def _flat(text: str) -> str:
    """Return a description without what its brackets hold."""
    depth, kept = 0, ""
    for letter in text:
        depth -= letter == ")"
        if depth == 0 or (letter == "(" and depth == 0):
            kept += letter
        depth += letter == "("
    return kept

"""The portfolio: configurations that are tried first on a table that nobody has seen."""

import json
from functools import cache
from typing import Any

from sif.resources import resource_dir

__all__ = ["entries_of"]

_FILE = "portfolio.json"


@cache
def _read() -> dict[str, list[dict[str, Any]]]:
    text = (resource_dir("data") / "tables" / _FILE).read_text(encoding="utf-8")
    made: dict[str, list[dict[str, Any]]] = json.loads(text)["entries"]
    return made


def entries_of(task: str) -> list[dict[str, Any]]:
    """Return the entries for a task, best first: `choices` and `settings` of each; none for a task without any."""
    return _read().get(task, [])

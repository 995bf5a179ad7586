"""Writing TOML: the standard library reads it, but does not write it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["dump_toml", "toml_literal"]


def dump_toml(data: Mapping[str, Any], prefix: str = "") -> str:
    """Return plain data as TOML text, values first, then tables; None becomes `"none"`, as recipes read it."""
    values = [f"{key} = {toml_literal(value)}" for key, value in data.items() if not isinstance(value, Mapping)]
    tables = [(k, v) for k, v in data.items() if isinstance(v, Mapping)]
    text = "\n".join(values) + ("\n" if values else "")
    for name, table in tables:
        text += f"\n[{prefix}{name}]\n" + dump_toml(table, f"{prefix}{name}.")
    return text


def toml_literal(value: Any) -> str:
    """Return one value as TOML."""
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for the delete character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_literal, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml_literal(item)}" for key, item in value.items()) + "}"
    return repr(value)

"""Writing TOML by `tomli_w`, with what recipes add: None, tuples, and lists on one line."""

import re
from collections.abc import Mapping
from typing import Any

import tomli_w

__all__ = ["dump_toml", "toml_literal"]


def dump_toml(data: Mapping[str, Any]) -> str:
    """Return plain data as TOML text; None becomes `"none"`, as recipes read it, and a list stands on one line."""
    text = tomli_w.dumps(_writable(data))
    # A line ends in "[" or "," inside a list alone: text has its newlines escaped.
    return re.sub(r",\n\s*(?!\s|\])", ", ", re.sub(r",\n\s*\]", "]", re.sub(r"\[\n\s*", "[", text)))


def toml_literal(value: Any) -> str:
    """Return one value as TOML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml_literal(item)}" for key, item in value.items()) + "}"
    return dump_toml({"v": value}).removeprefix("v = ").removesuffix("\n")


def _writable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _writable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(item) for item in value]
    return "none" if value is None else value

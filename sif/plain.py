"""Values of Python programs as plain data: scalars of numpy and torch, paths, enums, decimals."""

import numbers
import os
from collections.abc import Collection, Mapping, Set
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Return a value as bool, int, float, str, None, or lists and dicts of them.

    Scalars of numpy, torch and others (whatever has `item()` and no dimension) become Python's; arrays and series of
    one dimension become lists, sets become sorted lists, dataclasses become dicts. Raises `TypeError`, saying what the
    value is, for anything else.
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, os.PathLike):
        return plain(os.fspath(value))
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, Decimal | numbers.Rational | float):
        number = float(value)
        return int(number) if isinstance(value, Decimal) and number.is_integer() else number
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    dimensions = len(getattr(value, "shape", ()))
    if dimensions == 0 and callable(getattr(value, "item", None)):
        return _inner(value, value.item())
    if dimensions == 1 and (listed := getattr(value, "tolist", None) or getattr(value, "to_list", None)):
        return [plain(item) for item in listed()]
    if dimensions == 0 and isinstance(value, Collection) and not isinstance(value, bytes | bytearray | memoryview):
        items = [plain(item) for item in value]
        return sorted(items, key=lambda item: (str(type(item)), item)) if isinstance(value, Set) else items
    shown = repr(value)
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    raise TypeError(f"{shown if len(shown) <= 60 else shown[:57] + '...'} of type {kind}")


def _inner(value: Any, item: Any) -> Any:
    """Return a scalar's own value; one that is itself again, such as numpy's long double, as a float."""
    return plain(item) if type(item) is not type(value) else float(item)

"""Objects from outside the package: found by name, and written down so that a recipe can make them again.

A name is one of a built-in table, an entry point of its kind's group (`sif.strategies`), or `package.module:object`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from operator import attrgetter
from types import NoneType
from typing import Any, get_args, get_type_hints

from nasp_core.lookup import names_of, resolve
from sif.errors import RecipeError
from sif.plain import plain

__all__ = ["OBJECT", "from_plain", "names_of", "object_name", "reference", "resolve", "to_plain", "with_names"]

OBJECT = "object"
"""The key of a plain dict that says what it is made by, as `package.module:object`; alone it is that object itself."""


def reference(value: Any) -> str | None:
    """Return the name `package.module:object` of a class or function; None where no import finds it again."""
    module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not module or not path or module == "__main__" or "<" in path:
        return None
    try:
        found = attrgetter(path)(import_module(module))
    except (ImportError, AttributeError):
        return None
    return f"{module}:{path}" if found is value else None


def object_name(value: Any) -> str | None:
    """Return the name `package.module:object` by which this process finds an object; None where no module holds it.

    An object that its class makes without arguments goes by the name of the class.
    """
    if name := reference(value):
        return name
    found = [
        f"{module}:{name}"
        for module, held in list(sys.modules.items())
        if getattr(held, "__name__", "") == module  # not under an alias, such as __mp_main__
        for name, each in list(vars(held).items())
        if each is value
    ]
    if found or isinstance(value, type):
        return min(found, key=lambda name: name.startswith("__main__:"), default=None)
    try:
        alike = vars(type(value)()) == vars(value)
    except TypeError:
        return None
    return object_name(type(value)) if alike else None


def with_names(value: Any) -> Any:
    """Return a value with names in place of the parts of one's own in its lists, in tables too."""
    if isinstance(value, Mapping):
        return {key: with_names(item) for key, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, list | tuple) else value


def _named(item: Any) -> Any:
    try:
        plain(item)
    except TypeError:
        return object_name(item) or item
    return item


def to_plain(value: Any) -> Any:
    """Return a value as data that `from_plain` makes it of again: dataclasses by import path and fields.

    Raises `TypeError` for what no import finds again, such as a lambda or a class of a script.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        if name := reference(type(value)):
            values = {field.name: to_plain(getattr(value, field.name)) for field in fields(value) if field.init}
            return {OBJECT: name, **values}
    elif not isinstance(value, type):
        name = object_name(value)
        if name and not name.startswith("__main__:"):
            return {OBJECT: name}
    raise TypeError(f"{value!r} cannot be made again by import")


def from_plain(value: Any) -> Any:
    """Return what `to_plain` wrote down; lists become tuples. Raises `RecipeError` where it cannot be made."""
    if isinstance(value, list | tuple):
        return tuple(from_plain(item) for item in value)
    if not isinstance(value, Mapping):
        return value
    if OBJECT not in value:
        raise RecipeError(f"{dict(value)!r} does not say what it is made by; give {OBJECT} = package.module:object")
    made_by = resolve(OBJECT, str(value[OBJECT]), error=RecipeError)
    if not isinstance(made_by, type) and len(value) == 1:
        return made_by
    given = {key: from_plain(item) for key, item in value.items() if key != OBJECT}
    try:
        return made_by(**_missing_as_none(made_by, given))
    except (TypeError, ValueError) as failed:
        raise RecipeError(f"{value[OBJECT]} cannot be made of {', '.join(given) or 'nothing'}: {failed}") from failed


def _missing_as_none(made_by: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the values with None for the text "none", which stands for it in a recipe, where None may be."""
    if "none" not in given.values():
        return given
    hints = get_type_hints(made_by)
    return {k: None if v == "none" and NoneType in get_args(hints.get(k)) else v for k, v in given.items()}

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

__all__ = ["OBJECT", "from_plain", "name_in_module", "names_of", "reference", "resolve", "to_plain"]

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


def name_in_module(value: Any) -> str | None:
    """Return the name `package.module:object` of an object of the module of its class, or of a class.

    An object that its class makes without arguments goes by the name of the class. None where no name leads to it.
    """
    made = value if isinstance(value, type) else type(value)
    module = sys.modules.get(made.__module__)
    held = {} if module is None else vars(module)
    for attribute, each in held.items():
        if each is value:
            return f"{made.__module__}:{attribute}"
    if held.get(made.__qualname__) is not made:
        return None
    try:
        return f"{made.__module__}:{made.__qualname__}" if vars(made()) == vars(value) else None
    except TypeError:
        return None


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
            told = {field.name: to_plain(getattr(value, field.name)) for field in fields(value) if field.init}
            return {OBJECT: name, **told}
    elif not isinstance(value, type):
        name = reference(value) or name_in_module(value)
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

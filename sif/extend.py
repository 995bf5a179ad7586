"""Objects from outside the package: found by name, and written down so that a recipe can make them again.

A name is one of a built-in table, an entry point of its kind's group (`sif.strategies`), or `package.module:object`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from types import NoneType
from typing import Any, get_args, get_type_hints

from nasp_core.errors import nearest
from sif.errors import RecipeError, SifError
from sif.plain import plain

__all__ = ["OBJECT", "from_plain", "named", "names_of", "object_name", "reference", "resolve", "to_plain"]

OBJECT = "object"
"""The key of a plain dict that says what it is made by, as `package.module:object`; alone it is that object itself."""


def _group(kind: str) -> str:
    """Return the group of entry points of a kind: sif.strategies, sif.operations, ..."""
    return f"sif.{kind.removesuffix('y')}ies" if kind.endswith("y") else f"sif.{kind}s"


def names_of(kind: str, known: Mapping[str, Any]) -> list[str]:
    """Return the names that there are of a kind: the built-in ones, then those of entry points."""
    return list(dict.fromkeys([*known, *(point.name for point in entry_points(group=_group(kind)))]))


def resolve(
    kind: str, name: str, known: Mapping[str, Any] | None = None, error: Callable[[str], Exception] = SifError
) -> Any:
    """Return the object of a name: built in (`known`), an entry point, or `package.module:object`.

    Raises `error` with the nearest name, or with what is missing of the module.
    """
    known = known or {}
    if name in known:
        return known[name]
    for point in entry_points(group=_group(kind)):
        if point.name == name:
            return _imported(kind, point.value.replace(" ", ""), error)
    if ":" in name:
        return _imported(kind, name, error)
    near = nearest(name, names_of(kind, known))
    hint = f"; did you mean {near!r}?" if near else "."
    raise error(
        f"unknown {kind} {name!r}{hint} There are: {', '.join(names_of(kind, known))}; "
        "one of your own is named package.module:object"
    )


def _imported(kind: str, name: str, error: Callable[[str], Exception]) -> Any:
    module, _, path = name.partition(":")
    if not all(part.isidentifier() for part in f"{module}.{path}".split(".")):
        raise error(f"{kind} {name!r} is no name of an object; write package.module:object")
    try:
        found = import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{module}.".startswith(f"{missing.name}."):
            raise error(f"{kind} {name!r}: {module} cannot be imported: {missing}") from missing
        raise error(
            f"{kind} {name!r}: there is no module {missing.name}; install its package, or put its folder on PYTHONPATH"
        ) from None
    except (ImportError, SyntaxError) as failed:
        raise error(f"{kind} {name!r}: {module} cannot be imported: {failed}") from failed
    try:
        return attrgetter(path)(found)
    except AttributeError:
        near = nearest(path, vars(found))
        hint = f"; did you mean {module}:{near}?" if near else ""
        raise error(f"{kind} {name!r}: module {module} has no {path}{hint}") from None


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
    """Return the name `package.module:object` by which this process finds an object; None where no module holds it."""
    if name := reference(value):
        return name
    found = [
        f"{module}:{name}"
        for module, held in list(sys.modules.items())
        if getattr(held, "__name__", "") == module  # not under an alias, such as __mp_main__
        for name, each in list(vars(held).items())
        if each is value
    ]
    return min(found, key=lambda name: name.startswith("__main__:"), default=None)


def named(value: Any) -> Any:
    """Return a value with the names of objects in their place, in lists and tables too; the others as they are."""
    if isinstance(value, Mapping):
        return {key: named(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [named(item) for item in value]
    try:
        plain(value)
    except TypeError:
        return object_name(value) or value
    return value


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
    elif not isinstance(value, type) and (name := reference(value)):
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

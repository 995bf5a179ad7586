"""Objects by name: one of a built-in table, an entry point of its kind's group, or `package.module:object`."""

import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import Any

from nasp_core.errors import NaspError, did_you_mean

__all__ = ["names_of", "points_of", "resolve"]


def _group(kind: str) -> str:
    """Return the group of entry points of a kind: sif.strategies, sif.proxies, sif.cell_operations, ..."""
    name = kind.replace(" ", "_")
    return f"sif.{name[:-1]}ies" if name.endswith("y") else f"sif.{name}s"


def points_of(kind: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a kind; the files of all installed packages are read once for a search path."""
    return _read(_group(kind), tuple(sys.path))


@cache
def _read(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def names_of(kind: str, known: Mapping[str, Any]) -> list[str]:
    """Return the names that there are of a kind: the built-in ones, then those of entry points."""
    return list(dict.fromkeys([*known, *(point.name for point in points_of(kind))]))


def resolve(
    kind: str, name: str, known: Mapping[str, Any] | None = None, error: Callable[[str], Exception] = NaspError
) -> Any:
    """Return the object of a name: built in (`known`), an entry point, or `package.module:object`.

    Raises `error` with the nearest name, or with what is missing of the module.
    """
    known = known or {}
    if name in known:
        return known[name]
    for point in points_of(kind):
        if point.name == name:
            return _imported(kind, point.value.replace(" ", ""), error)
    if ":" in name:
        return _imported(kind, name, error)
    hint = did_you_mean(name, names_of(kind, known), "; did you mean {!r}?", ".")
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
        hint = did_you_mean(path, vars(found), f"; did you mean {module}:{{}}?")
        raise error(f"{kind} {name!r}: module {module} has no {path}{hint}") from None

"""Objects of one's own by name: `package.module:object`, and back."""

from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

from nasp_core.errors import SpaceError
from sif.extend import object_name, resolve

__all__ = ["found", "name_of", "problems_of", "unfound"]


def found(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """Return the object of a name (see `sif.extend.resolve`), a class being called without arguments.

    Raises `SpaceError` where there is none.
    """
    made = resolve(kind, name, known, SpaceError)
    try:
        return made() if isinstance(made, type) else made
    except TypeError as error:
        raise SpaceError(f"{kind} {name!r} cannot be made without arguments: {error}") from error


def name_of(kind: str, value: Any, known: Mapping[str, Any], cls: type) -> str:
    """Return the name of an object, by which `found` finds it again; a name is its own.

    Raises `SpaceError` where no name does.
    """
    if isinstance(value, str):
        return value
    made = value if isinstance(value, type) else type(value)
    if not issubclass(made, cls):
        raise SpaceError(f"{kind} {value!r} is neither a name nor a {cls.__module__}.{cls.__name__}")
    built_in = [name for name, each in known.items() if each is value]
    if name := built_in[0] if built_in else object_name(value):
        return name
    home = getattr(value, "__module__", None) or made.__module__
    shown = "" if isinstance(value, FunctionType) else f", as MINE = {made.__qualname__}(...)"
    raise SpaceError(
        f"{kind} {value!r} cannot be found again by name, so no file could say what it is: "
        f"give it a name in its module ({home}){shown}"
    )


def problems_of(names: Iterable[str], find: Callable[[str], Any]) -> list[str]:
    """Return what is wrong with the parts of one's own (`package.module:object`) among names."""
    return unfound((name for name in names if ":" in name), find)


def unfound(names: Iterable[str], find: Callable[[str], Any]) -> list[str]:
    """Return what `find` says of the names that it refuses."""
    problems = []
    for name in dict.fromkeys(names):
        try:
            find(name)
        except SpaceError as error:
            problems.append(str(error))
    return problems

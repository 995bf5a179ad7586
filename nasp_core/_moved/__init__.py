"""Names under which programs knew modules that have moved: they are looked up where they are now, with a warning."""

import pkgutil
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["moved"]


def moved(old: str, *rooms: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module that has moved; a name is taken from the first room that has it.

    A room is a module, or a package whose modules are searched too.
    """

    def load(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        for room in rooms:
            package = import_module(room)
            modules = [
                room,
                *(f"{room}.{each.name}" for each in pkgutil.iter_modules(getattr(package, "__path__", ()))),
            ]
            for module in modules:
                found = import_module(module)
                if name in getattr(found, "__all__", ()):
                    text = f"{old} has moved: from {module} import {name}"
                    warnings.warn(text, DeprecationWarning, stacklevel=2)
                    return getattr(found, name)
        raise AttributeError(f"{old} has moved to {' and '.join(rooms)}, and none of them has {name}")

    return load

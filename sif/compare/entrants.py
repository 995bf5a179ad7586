"""Who takes part in a comparison: the best architecture of a run, and rivals by name or as objects."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from sif.errors import RunError
from sif.extend import object_name
from sif.rivals.base import Rival
from sif.rivals.known import METHODS, RIVALS, checked, rival
from sif.rivals.method import Method
from sif.rivals.pair_table import PairTable

__all__ = ["ComparedEntrant", "entrants"]

_HERE = "it is of no module that another process could import, and ran in this one: its memory was not measured"

_UNWEIGHTED = "learns without the weights: all pairs count alike"


@dataclass(frozen=True)
class ComparedEntrant:
    """One row of a comparison: the name and source it is shown by, and how it learns.

    `here`: whether it must run in this process, since no other one can import it.
    """

    name: str
    source: str
    method: Method
    here: bool = False

    def missing(self) -> str:
        """Return which package it lacks and how to get it, or an empty string."""
        package = self.method.package
        if not package or importlib.util.find_spec(package) is not None:
            return ""
        return f"{package} is not installed: {self.method.install}"

    def told(self, table: PairTable) -> ComparedEntrant:
        """Return it with what must be known of it on a table: whether it makes use of weights that there are."""
        if table.confidence is None or self.method.weighted:
            return self
        return replace(self, method=replace(self.method, note="; ".join(filter(None, (self.method.note, _UNWEIGHTED)))))

    def version(self) -> str | None:
        """Return the version of the package that it needs; None where it needs none."""
        try:
            return metadata.version(self.method.package) if self.method.package else None
        except metadata.PackageNotFoundError:
            return None


def entrants(rivals: Sequence[str | Rival | type]) -> tuple[list[ComparedEntrant], list[str]]:
    """Return those that take part, and all that is wrong with what was given."""
    made, problems = list[ComparedEntrant](), list[str]()
    if not rivals:
        problems.append(f"no rival to compare with; there are {', '.join(METHODS)}")
    for given in rivals:
        try:
            made.append(_entrant(given))
        except RunError as error:
            problems.append(str(error))
    names = [entrant.name for entrant in made]
    repeated = {name: names.count(name) for name in names if names.count(name) > 1}
    return made, problems + [f"rival {name} is given {times} times; name it once" for name, times in repeated.items()]


def _entrant(given: str | Rival | type) -> ComparedEntrant:
    if isinstance(given, str):
        name: str | None = given
        found = rival(given, METHODS, RunError)
    else:
        found, name = checked(repr(given), given, RunError), object_name(given)
    here = name is None or name.startswith("__main__:")
    name, method = name or found.name, found.method
    if method is None:
        raise RunError(
            f"rival {name} has no method, and stands in runs alone: "
            f'search with baselines.names = ["{name}"]; a comparison has {", ".join(METHODS)}'
        )
    if here:
        method = replace(method, note="; ".join(filter(None, (method.note, _HERE))))
    elif name not in RIVALS:
        method = replace(method, key=method.key + _code_of(method))
    return ComparedEntrant(name, "; ".join(filter(None, (found.source, method.by))), method, here)


def _code_of(method: Method) -> str:
    """Return a text that changes with the file in which a method is written: then it is trained anew."""
    module = sys.modules.get(getattr(method.fit, "__module__", None) or type(method.fit).__module__)
    file = Path(getattr(module, "__file__", None) or "")
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else ""

"""From a protocol and a place to what a recipe is changed by; and why a recipe is not of its protocol."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasp_core.errors import did_you_mean
from sif.errors import DataError, RecipeError
from sif.protocols.base import PublishedProtocol
from sif.protocols.known import PROTOCOLS
from sif.recipes.changes import Change
from sif.recipes.load import load_recipe

__all__ = ["ProtocolData", "ask", "protocol", "protocol_problems"]


def protocol(name: str) -> PublishedProtocol:
    """Return the protocol of a name.

    Args:
        name: One of `PROTOCOLS`.

    Raises:
        RecipeError: There is none; with the nearest name.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    hint = did_you_mean(name, PROTOCOLS, "Did you mean {}? ")
    raise RecipeError(f'no protocol "{name}". {hint}There are: {", ".join(PROTOCOLS)}')


@dataclass(frozen=True, slots=True)
class ProtocolData:
    """A protocol on files: the `dataset` of a recipe, and the `values` that it is to be changed by besides."""

    protocol: PublishedProtocol
    dataset: str
    values: dict[str, Any]

    def changes(self, place: str) -> list[Change]:
        """Return the values as changes of a recipe.

        Args:
            place: What messages call where they are from.
        """
        return [Change(key, value, place) for key, value in self.values.items()]


def ask(name: str, source: str | Path, recipe: str | Path = "") -> ProtocolData:
    """Return the files of a protocol, and the values of a recipe that read, cut and judge them as it says.

    Args:
        name: Of the protocol.
        source: A folder, a file, or a path that file names begin with.
        recipe: A name or file, where it is not to be the protocol's own.

    Raises:
        RecipeError: There is no such protocol, or the recipe is of another task.
        DataError: There are no files of it; with what is looked for, and where the data can be had.
    """
    known, place = protocol(name), Path(source).expanduser()
    if recipe and load_recipe(recipe).task != known.task:
        raise RecipeError(_of_another_task(known, str(recipe)))
    found = next((each for layout in known.layouts if (each := layout.find(place)) is not None), None)
    if found is None:
        wanted = "\n".join(f"    {layout.wanted}" for layout in known.layouts)
        missing = "" if place.exists() or place.parent.is_dir() else ": there is no such folder"
        raise DataError(
            f"protocol {name} finds no files of its own in {source}{missing}\n"
            f"  It takes one of\n{wanted}\n  The data: {known.url}"
        )
    parts = {"test": found.test} if found.test else {}
    return ProtocolData(known, found.dataset, {"protocol": name, **parts, **found.values, **known.values})


def _of_another_task(known: PublishedProtocol, recipe: str) -> str:
    return (
        f"protocol {known.name} is of task {known.task}{f', recipe {recipe} is not' if recipe else ''}; "
        f"leave the recipe out, or name another: --recipe {known.recipe}"
    )


def protocol_problems(recipe: Any) -> Iterator[tuple[str, str]]:
    """Yield the values of a recipe that its protocol does not allow, each key with the reason.

    Args:
        recipe: Of a table; its key `protocol` names the protocol, or none.
    """
    if not recipe.protocol:
        return
    try:
        known = protocol(recipe.protocol)
    except RecipeError as error:
        yield "protocol", str(error)
        return
    if recipe.task != known.task:
        yield "task", _of_another_task(known, "")
        return
    for key, wanted in known.values.items():
        value = recipe.value(key)
        if (list(value) if isinstance(value, tuple) else value) != wanted:
            yield key, f"protocol {known.name} says {wanted}; leave it out, or search without --protocol"
    if known.places and recipe.value("ranking.threshold") is not None:
        yield "ranking.threshold", f"all pairs are relevant in protocol {known.name}; leave it out"

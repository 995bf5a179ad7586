"""The encodings by name, from inside and outside the package."""

from collections.abc import Mapping
from functools import cache

import torch

from nasp_core.errors import SpaceError
from sif.encodings.base import Encoding
from sif.encodings.history import History, TiedHistory
from sif.encodings.id import Id
from sif.encodings.lookup import found, name_of
from sif.encodings.propagated import Propagated
from sif.encodings.weighted import DecayedHistory, ValueHistory

__all__ = ["ENCODINGS", "HISTORY", "ID", "encoding", "encoding_names", "parts_of", "reads_history"]

ID, HISTORY = Id(), History()
ENCODINGS: Mapping[str, Encoding] = {
    each.name: each for each in (ID, HISTORY, ValueHistory(), DecayedHistory(), Propagated(), TiedHistory())
}
"""The encodings by name; a candidate of a search is one of them, or a sum (`id+history`)."""

_TIED = ("", "other", "both")


def parts_of(name: str) -> list[str]:
    """Return the names of the encodings whose sum a candidate is."""
    return name.split("+")


@cache
def encoding(name: str) -> Encoding:
    """Return the encoding of a name: built in, or `package.module:object`.

    Raises `SpaceError` where there is none, and where the object makes no vectors of lists.
    """
    made = found("encoding", name, ENCODINGS)
    if not isinstance(made, Encoding):
        raise SpaceError(f"encoding {name} is {made!r}; make it an object of a subclass of sif.encodings.Encoding")
    if not made.formula:
        raise SpaceError(f'encoding {name} has no formula; write it as a person does: formula = "h({{side}})"')
    if made is ID:
        return made
    if made.own:
        raise SpaceError(f"encoding {name} has own = True; only id has a row for each of its side")
    if made.tied not in _TIED:
        raise SpaceError(f"encoding {name} has tied = {made.tied!r}; there are {', '.join(map(repr, _TIED))}")
    if not hasattr(made, "encode"):
        raise SpaceError(f"encoding {name} has no method encode(table, starts, members, power)")
    try:
        out = made.encode(torch.ones(3, 2), torch.tensor([0, 2, 2, 3]), torch.tensor([0, 2, 1]), 1.0)
    except Exception as error:
        raise SpaceError(f"encoding {name} cannot encode three lists, one of them empty: {error}") from error
    if tuple(out.shape) != (3, 2) or not bool(out.isfinite().all()):
        raise SpaceError(f"encoding {name} makes {out.tolist()} of three lists, one empty; it must be finite, [3, 2]")
    return made


def encoding_names(encodings: tuple[str | Encoding, ...]) -> tuple[str, ...]:
    """Return names or objects as names; raises `SpaceError` for an object that no name finds again."""
    return tuple(name_of("encoding", each, ENCODINGS, Encoding) for each in encodings)


def reads_history(name: str) -> bool:
    """Return whether a candidate, such as `id+history`, encodes more than the embedding of an id."""
    return not all(encoding(part).own for part in parts_of(name))

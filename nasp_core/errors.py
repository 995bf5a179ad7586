"""The exceptions of the toolkit.

Every error that a user can cause derives from `NaspError`; its text says what was wrong (with the
value), where, why, and the smallest fix. The command line prints that text alone and exits with 2.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "GenotypeError",
    "NaspError",
    "ProxyError",
    "ResumeError",
    "SearchError",
    "SpaceError",
    "StrategyError",
    "did_you_mean",
    "nearest",
]


def nearest(name: str, known: Iterable[str], *, count: int = 1, cutoff: float = 0.6) -> str:
    """Return the known name that is spelt most like `name` (up to `count` of them, joined by "or"); "" for none."""
    return " or ".join(difflib.get_close_matches(name, list(known), n=count, cutoff=cutoff))


def did_you_mean(name: str, known: Iterable[str], text: str = "Did you mean {}?", otherwise: str = "") -> str:
    """Return the hint at what a wrong name was meant to be: `text` with the nearest; `otherwise` where none is near."""
    near = nearest(name, known)
    return text.format(near) if near else otherwise


class NaspError(Exception):
    """Base of every error that the user, not the toolkit, can mend."""


class StrategyError(NaspError):
    """The parts of a strategy do not fit each other, or the strategy does not fit the space."""


class SpaceError(NaspError):
    """A space was described in a way that cannot be built."""


class GenotypeError(NaspError):
    """A genotype cannot be read, or does not belong to the space it is given to."""


class ResumeError(NaspError):
    """A saved state does not belong to the search that should go on from it."""


class SearchError(NaspError):
    """A search cannot go on: its loss stopped being a finite number, or its budget is empty."""


class ProxyError(NaspError):
    """A training-free score has no meaning for a network, or for the batch it is given."""

"""The one list of rivals, by name: what may stand beside the best architecture in a run and in a comparison."""

from collections.abc import Callable, Mapping
from typing import Any

from sif.errors import SifError
from sif.extend import resolve
from sif.rivals.averages import BIASES, GLOBAL_MEAN
from sif.rivals.base import Baseline, Kind, Rival, point
from sif.rivals.dense import CONV_NCF, DEEP_WIDE, NCF, OUTER, TUCKER
from sif.rivals.elsa import ELSA
from sif.rivals.entrywise import MAX, MIN, PLUS
from sif.rivals.factors import BIASED_CP, BIASED_MF, CP, INNER_PRODUCT
from sif.rivals.from_implicit import ALS, BPR, ITEM_KNN
from sif.rivals.from_recbole import LIGHTGCN, MULTVAE, NEUMF, RECVAE
from sif.rivals.graph_filters import BSPM, GF_CF, TURBO_CF
from sif.rivals.ials import IALS
from sif.rivals.linear import EASE, SLIM
from sif.rivals.method import Method
from sif.rivals.popularity import POPULARITY, POPULARITY_RECENT
from sif.rivals.puresvd import PURE_SVD
from sif.rivals.simplex import SIMPLEX
from sif.rivals.sparse_ease import SPARSE_EASE
from sif.rivals.walks import RP3BETA
from sif.spaces.wide_points import NAMED

__all__ = ["METHODS", "POINTS", "RIVALS", "baseline_table", "checked", "rival"]

POINTS = tuple(Rival(name, known.source, {"wide": point(name), "lists": point(name)}) for name, known in NAMED.items())
"""Every named point; those that have more sides are rivals of their own, which stand before these in `RIVALS`."""


_ALL = (
    *(GLOBAL_MEAN, BIASES, POPULARITY, POPULARITY_RECENT, ITEM_KNN, ALS, BPR, EASE, SLIM),
    *(SPARSE_EASE, RP3BETA, GF_CF, BSPM, TURBO_CF, PURE_SVD, IALS, ELSA, SIMPLEX),
    *(INNER_PRODUCT, BIASED_MF, CP, BIASED_CP, TUCKER),
    *(PLUS, MAX, MIN, DEEP_WIDE, NCF, OUTER, CONV_NCF, NEUMF, LIGHTGCN, MULTVAE, RECVAE),
)
_NAMES = {name: rival for rival in _ALL for name in (rival.name, *rival.aliases)}
RIVALS: Mapping[str, Rival] = {**_NAMES, **{point.name: point for point in POINTS if point.name not in _NAMES}}
"""All rivals by name and alias."""

METHODS: Mapping[str, Method] = {name: rival.method for name, rival in RIVALS.items() if rival.method is not None}
"""How a comparison trains those that it can, by name."""


def rival(name: str, offered: Mapping[str, Any] = RIVALS, error: Callable[[str], Exception] = SifError) -> Rival:
    """Return the rival of a name: built in, an entry point of the group `sif.rivals`, or `package.module:object`.

    Args:
        name: of the rival.
        offered: the built-in names that an error tells of.
        error: makes the exception that is raised of a text.
    """
    return RIVALS[name] if name in RIVALS else checked(name, resolve("rival", name, offered, error), error)


def checked(name: str, made: Any, error: Callable[[str], Exception]) -> Rival:
    """Return a rival, a class being called without arguments; raises `error` for anything else."""
    try:
        made = made() if isinstance(made, type) else made
    except TypeError as failed:
        raise error(f"rival {name} cannot be made without arguments: {failed}") from failed
    if not isinstance(made, Rival):
        raise error(f"rival {name} is {made!r}; make it a sif.rivals.Rival")
    return made


def baseline_table(kind: Kind) -> Mapping[str, Baseline]:
    """Return the baselines that a recipe whose networks are asked that may name."""
    return {name: made for name, rival in RIVALS.items() if (made := rival.baseline(kind)) is not None}

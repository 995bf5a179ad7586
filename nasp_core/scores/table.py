"""The one name table of scores: used at the edge (recipes, command line), never inside the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from nasp_core.errors import ScoreError, nearest
from nasp_core.scores.fisher import Fisher
from nasp_core.scores.freedarts import FreeDarts
from nasp_core.scores.grad_norm import GradNorm
from nasp_core.scores.grasp import Grasp
from nasp_core.scores.jacob_cov import JacobCov
from nasp_core.scores.linear_regions import LinearRegions
from nasp_core.scores.naswot import Naswot
from nasp_core.scores.ntk import Ntk
from nasp_core.scores.protocol import Score
from nasp_core.scores.snip import Snip
from nasp_core.scores.synflow import Synflow

__all__ = ["SCORES", "make_score"]

_ALL: tuple[Callable[..., Score], ...] = (
    Naswot,
    Synflow,
    GradNorm,
    Snip,
    Grasp,
    Fisher,
    JacobCov,
    Ntk,
    LinearRegions,
    FreeDarts,
)
SCORES: Mapping[str, Callable[..., Score]] = {score.name: score for score in _ALL}  # type: ignore[attr-defined]


def make_score(name: str, **settings: Any) -> Score:
    """Return the named score; raises `ScoreError` naming the nearest score or setting when one is unknown."""
    if name not in SCORES:
        near = nearest(name, SCORES)
        hint = f"; did you mean {near!r}?" if near else "."
        raise ScoreError(f"unknown score {name!r}{hint} There are: {', '.join(SCORES)}")
    known = [field.name for field in fields(SCORES[name])]  # type: ignore[arg-type]
    for key in settings:
        if key not in known:
            near = nearest(key, known)
            hint = f"Did you mean {near!r}?" if near else f"It has: {', '.join(known) or 'none'}"
            raise ScoreError(f"score {name!r} has no setting {key!r}. {hint}")
    return SCORES[name](**settings)

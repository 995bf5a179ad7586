"""The one name table of scores: used at the edge (recipes, command line), never inside the core."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from nasp_core.errors import ScoreError
from nasp_core.proxies.fisher import Fisher
from nasp_core.proxies.freedarts import FreeDarts
from nasp_core.proxies.grad_norm import GradNorm
from nasp_core.proxies.grasp import Grasp
from nasp_core.proxies.jacob_cov import JacobCov
from nasp_core.proxies.linear_regions import LinearRegions
from nasp_core.proxies.naswot import Naswot
from nasp_core.proxies.ntk import Ntk
from nasp_core.proxies.protocol import Score
from nasp_core.proxies.snip import Snip
from nasp_core.proxies.synflow import Synflow

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
        near = difflib.get_close_matches(name, SCORES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ScoreError(f"unknown score {name!r}{hint} There are: {', '.join(SCORES)}")
    known = [field.name for field in fields(SCORES[name])]  # type: ignore[arg-type]
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It has: {', '.join(known) or 'none'}"
            raise ScoreError(f"score {name!r} has no setting {key!r}. {hint}")
    return SCORES[name](**settings)

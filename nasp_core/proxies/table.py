"""The one name table of proxies: used at the edge (recipes, command line), never inside the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from nasp_core.errors import ProxyError, nearest
from nasp_core.proxies.fisher import Fisher
from nasp_core.proxies.freedarts import FreeDarts
from nasp_core.proxies.grad_norm import GradNorm
from nasp_core.proxies.grasp import Grasp
from nasp_core.proxies.jacob_cov import JacobCov
from nasp_core.proxies.linear_regions import LinearRegions
from nasp_core.proxies.naswot import Naswot
from nasp_core.proxies.ntk import Ntk
from nasp_core.proxies.protocol import Proxy
from nasp_core.proxies.snip import Snip
from nasp_core.proxies.synflow import Synflow

__all__ = ["PROXIES", "make_proxy"]

_ALL: tuple[Callable[..., Proxy], ...] = (
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
PROXIES: Mapping[str, Callable[..., Proxy]] = {score.name: score for score in _ALL}  # type: ignore[attr-defined]


def make_proxy(name: str, **settings: Any) -> Proxy:
    """Return the named proxy; raises `ProxyError` naming the nearest proxy or setting when one is unknown."""
    if name not in PROXIES:
        near = nearest(name, PROXIES)
        hint = f"; did you mean {near!r}?" if near else "."
        raise ProxyError(f"unknown proxy {name!r}{hint} There are: {', '.join(PROXIES)}")
    known = [field.name for field in fields(PROXIES[name])]  # type: ignore[arg-type]
    for key in settings:
        if key not in known:
            near = nearest(key, known)
            hint = f"Did you mean {near!r}?" if near else f"It has: {', '.join(known) or 'none'}"
            raise ProxyError(f"proxy {name!r} has no setting {key!r}. {hint}")
    return PROXIES[name](**settings)

"""The one name table of proxies: used at the edge (recipes, command line), never inside the core."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from nasp_core.errors import ProxyError, did_you_mean
from nasp_core.lookup import resolve
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

__all__ = ["PROXIES", "make_proxy", "proxy_name"]

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


def make_proxy(given: str | Proxy, **settings: Any) -> Proxy:
    """Return a proxy by its name.

    Args:
        given: A built-in name, an entry point of `sif.proxies`, `package.module:object`, a proxy itself or its class.
        **settings: The proxy's own settings.

    Raises:
        ProxyError: A proxy or setting is unknown (the nearest is named), or what is given is no proxy.
    """
    found: Any = resolve("proxy", given, PROXIES, ProxyError) if isinstance(given, str) else given
    if isinstance(found, type) or (callable(found) and not hasattr(found, "score")):
        known = signature(found).parameters
        for key in settings:
            if key not in known:
                hint = did_you_mean(key, known, "Did you mean {!r}?", f"It has: {', '.join(known) or 'none'}")
                raise ProxyError(f"proxy {given!r} has no setting {key!r}. {hint}")
        try:
            found = found(**settings)
        except TypeError as error:
            raise ProxyError(
                f"proxy {given!r} cannot be made of {', '.join(settings) or 'no settings'}: {error}"
            ) from None
    elif settings:
        raise ProxyError(f"proxy {given!r} is made already; it takes no setting {next(iter(settings))!r}")
    if not callable(getattr(found, "score", None)):
        raise ProxyError(f"proxy {given!r} is of type {type(found).__name__}; it needs score(network, batch, loss)")
    proxy: Proxy = found
    return proxy


def proxy_name(given: str | Proxy) -> str:
    """Return what a proxy is called in a table of results: the name it is given by, else its own."""
    return given if isinstance(given, str) else str(getattr(given, "name", "") or type(given).__name__)

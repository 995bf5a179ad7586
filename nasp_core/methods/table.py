"""The one name table of strategies: used at the edge (recipes, command line), never inside the core.

A file of this folder is a method: `darts_2nd.py` with its function `darts_2nd` is the strategy `darts-2nd`. It needs no
line here. The multi-trial strategies are those of `nasp_core.trials`. A strategy of your own goes by its import path,
`package.module:object`.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nasp_core.errors import StrategyError, nearest
from nasp_core.strategy import Strategy
from nasp_core.trials import TRIALS, TrialStrategy

__all__ = ["RENAMED_SETTINGS", "STRATEGIES", "make_strategy"]

AnyStrategy = Strategy | TrialStrategy
Maker = Callable[..., AnyStrategy]

RENAMED_SETTINGS: Mapping[str, str] = {"looks": "n_supernet_evals", "shorten": "epoch_divisor", "score": "proxy"}
"""Settings as they were called before -> now: what an old run directory's recipe says is read all the same."""


class _Table(Mapping[str, Maker]):
    """Name -> what makes the strategy; a method's file is imported when it is asked for."""

    def __init__(self) -> None:
        folder = __name__.rpartition(".")[0]
        path = importlib.import_module(folder).__path__
        files = [found.name for found in pkgutil.iter_modules(path) if found.name != "table"]
        ours = sorted(files, key=lambda name: (not name.startswith("nasp"), name))
        self._where = {name.replace("_", "-"): f"{folder}.{name}:{name}" for name in ours} | dict(TRIALS)

    def __getitem__(self, name: str) -> Maker:
        maker: Maker = _imported(self._where[name])
        return maker

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


def _imported(path: str) -> Any:
    """Return the object at `package.module:object`."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


STRATEGIES: Mapping[str, Maker] = _Table()


def make_strategy(name: str, **settings: Any) -> AnyStrategy:
    """Return the named strategy.

    Args:
        name: A name of the table, or `package.module:object`: a strategy, or what makes one of the settings.
        settings: The strategy's own settings; those left out have their defaults.

    Returns:
        A one-shot `Strategy` or a `TrialStrategy`.

    Raises:
        StrategyError: The name or a setting is unknown (the nearest one is named), or the path leads to no strategy.
    """
    maker = _maker(name)
    if isinstance(maker, AnyStrategy) and not isinstance(maker, type):
        if settings:
            raise StrategyError(f"strategy {name!r} is made already; it takes no settings: {', '.join(settings)}")
        return maker
    settings = _checked(name, maker, settings)
    made = maker(**settings)
    if not isinstance(made, AnyStrategy):
        raise StrategyError(
            f"{name!r} makes a {type(made).__name__}, which is no strategy: it needs a Strategy, or ask and tell "
            "(nasp_core.trials.TrialStrategy)"
        )
    return made


def _checked(name: str, maker: Maker, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings by their present names; raises `StrategyError` for an unknown, doubled or missing one."""
    try:
        known = inspect.signature(maker).parameters
    except ValueError:  # of a class of C, which says nothing
        return dict(settings)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return dict(settings)
    made: dict[str, Any] = {}
    for key, value in settings.items():
        new = key if key in known else RENAMED_SETTINGS.get(key, key)
        if new != key and new in settings:
            raise StrategyError(f"strategy {name!r}: {key!r} is the old name of {new!r}; give one of them")
        if new not in known:
            near = nearest(new, known)
            hint = f" Did you mean {near!r}?" if near else f" It has: {', '.join(known)}"
            raise StrategyError(f"strategy {name!r} has no setting {key!r}.{hint}")
        made[new] = value
    lacking = [key for key, parameter in known.items() if parameter.default is parameter.empty and key not in made]
    lacking = [key for key in lacking if known[key].kind is not inspect.Parameter.VAR_POSITIONAL]
    if lacking:
        raise StrategyError(f"strategy {name!r} needs the setting(s) {', '.join(lacking)}")
    return made


def _maker(name: str) -> Any:
    if name in STRATEGIES:
        return STRATEGIES[name]
    if ":" in name:
        try:
            maker = _imported(name)
        except (ImportError, AttributeError, ValueError) as error:
            raise StrategyError(f"strategy {name!r} cannot be imported: {error}") from None
        if not callable(maker) and not isinstance(maker, AnyStrategy):
            raise StrategyError(f"{name!r} is a {type(maker).__name__}, neither a strategy nor what makes one")
        return maker
    near = nearest(name, STRATEGIES)
    hint = f"; did you mean {near!r}?" if near else "."
    raise StrategyError(f"unknown strategy {name!r}{hint} There are: {', '.join(STRATEGIES)}")

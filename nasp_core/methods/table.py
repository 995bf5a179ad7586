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

from nasp_core.errors import StrategyError, did_you_mean
from nasp_core.lookup import resolve
from nasp_core.strategy import Strategy
from nasp_core.trials import TRIALS, TrialStrategy

__all__ = ["RENAMED_SETTINGS", "STRATEGIES", "checked_strategy", "known_settings", "make_strategy"]

AnyStrategy = Strategy | TrialStrategy
Maker = Callable[..., AnyStrategy]
_OF_A_TRIAL = ("ask", "describe", "gradient", "init", "name", "papers", "tell")

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
        module, _, path = self._where[name].partition(":")
        maker: Maker = getattr(importlib.import_module(module), path)
        return maker

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


STRATEGIES: Mapping[str, Maker] = _Table()


def make_strategy(name: str, /, **settings: Any) -> AnyStrategy:
    """Return the named strategy.

    Args:
        name: A name of the table, an entry point of `sif.strategies`, or `package.module:object`: a strategy, or what
            makes one of the settings.
        settings: The strategy's own settings; those left out have their defaults.

    Returns:
        A one-shot `Strategy` or a `TrialStrategy`.

    Raises:
        StrategyError: The name or a setting is unknown (the nearest one is named), or it leads to no strategy.
    """
    found = resolve("strategy", name, STRATEGIES, StrategyError)
    known = known_settings(name, found, settings)
    if _is_made(found):
        return checked_strategy(name, found)
    try:
        made = found(**known)
    except TypeError as failed:
        raise StrategyError(f"{name} cannot be made of {', '.join(known) or 'no settings'}: {failed}") from failed
    return checked_strategy(name, made)


def checked_strategy(name: str, made: Any) -> AnyStrategy:
    """Return a strategy as it is; raises `StrategyError` for anything else."""
    if isinstance(made, AnyStrategy):
        return made
    lacks = [each for each in _OF_A_TRIAL if not hasattr(made, each)]
    raise StrategyError(
        f"{name} is of type {type(made).__name__}, no strategy: a one-shot one is a nasp_core.strategy.Strategy, a "
        f"multi-trial one has {', '.join(_OF_A_TRIAL)} (it lacks {', '.join(lacks)})"
    )


def _is_made(found: Any) -> bool:
    return not callable(found) or (isinstance(found, AnyStrategy) and not isinstance(found, type))


def known_settings(name: str, found: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings by the names that what makes a strategy takes today.

    Raises `StrategyError` for an unknown, doubled or missing one, and for any of a strategy that is made already.
    """
    if _is_made(found):
        if settings:
            raise StrategyError(f"strategy {name!r} is made already; it takes no settings: {', '.join(settings)}")
        return {}
    try:
        known = inspect.signature(found).parameters
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
            hint = did_you_mean(new, known, "Did you mean {!r}?", f"It has: {', '.join(known)}")
            raise StrategyError(f"strategy {name!r} has no setting {key!r}. {hint}")
        made[new] = value
    lacking = [key for key, parameter in known.items() if parameter.default is parameter.empty and key not in made]
    lacking = [key for key in lacking if known[key].kind is not inspect.Parameter.VAR_POSITIONAL]
    if lacking:
        raise StrategyError(f"strategy {name!r} needs the setting(s) {', '.join(lacking)}")
    return made

"""Who takes part in a race: strategies by name, with settings of their own."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from itertools import count
from typing import Any

import torch

from nasp_core.errors import SearchError, did_you_mean
from nasp_core.methods import STRATEGIES
from nasp_core.network import Space
from nasp_core.strategy import Gradient, Strategy
from nasp_core.testing import Case, unsupported_reason
from nasp_core.trials import SearchContext, TrialStrategy
from nasp_core.types import Task
from sif.errors import RaceError
from sif.extend import names_of
from sif.recipes import changes_of, load_recipe
from sif.recipes.changes import read_value, setting_type
from sif.recipes.strategy import named_strategy

__all__ = ["ALL", "RANDOM", "Entrant", "entrants_of", "refused", "strategy_settings"]

AnyStrategy = Strategy | TrialStrategy
ALL = "all"
RANDOM = "random"
"""The strategy that stands in every table."""


@dataclass(frozen=True)
class Entrant:
    """A strategy of a race: its name in the table, and the settings that it does not take from its defaults.

    `by` is how a recipe names it, where that is not `name`; `made` is an object that no import finds again.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    by: str = ""
    made: AnyStrategy | None = None

    def strategy(self, trials: int | None = None, gradient: Gradient | None = None) -> AnyStrategy:
        """Return the strategy.

        Args:
            trials: Budget of a multi-trial strategy, where it knows one and none was set.
            gradient: How trials learn a point's continuous parameters; None: as the strategy does.

        Raises:
            StrategyError: Settings are unknown.
        """
        strategy = self.made or self._made(trials)
        if gradient is not None and not isinstance(strategy, Strategy) and is_dataclass(strategy):
            strategy = replace(strategy, gradient=gradient)
        return strategy

    def _made(self, trials: int | None) -> AnyStrategy:
        settings, name = dict(self.settings), self.by or self.name
        if trials is not None and name in STRATEGIES and "trials" in inspect.signature(STRATEGIES[name]).parameters:
            settings.setdefault("trials", trials)
        strategy: AnyStrategy = load_recipe(
            "ratings-operations", changes_of({"strategy.settings": settings}, name)
        ).make_strategy()
        return strategy


def strategy_settings(changes: Sequence[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the settings of strategies among `STRATEGY.SETTING=VALUE` and `KEY=VALUE`, and the other changes."""
    settings: dict[str, dict[str, Any]] = {}
    others = []
    for change in changes:
        key, _, value = change.partition("=")
        name, _, setting = key.strip().rpartition(".") if ":" in key else key.strip().partition(".")
        if name not in names_of("strategy", STRATEGIES) and ":" not in name:
            others.append(change)
            continue
        settings.setdefault(name, {})[setting] = read_value(value.strip(), setting_type(name, setting))
    return settings, others


def entrants_of(names: Sequence[Any], settings: Mapping[str, Mapping[str, Any]] | None = None) -> list[Entrant]:
    """Return the strategies of a race, each once, random search with them.

    Args:
        names: Names, `package.module:object` among them, or strategies themselves; `all` stands for all there are.
        settings: Settings by the strategy's name.

    Raises:
        RaceError: Names are unknown; each with the nearest that there is.
        StrategyError: A strategy does not take a setting.
    """
    given, known = settings or {}, names_of("strategy", STRATEGIES)
    entrants: dict[str, Entrant] = {}
    problems = []
    for each in (one for given_name in names for one in (known if given_name == ALL else [given_name])):
        name, own, made = named_strategy(each)
        if name not in known and ":" not in name:
            problems.append(f"no strategy {name!r}{did_you_mean(name, known, '; did you mean {!r}?')}")
        elif isinstance(each, str) or not own:
            entrants.setdefault(name, Entrant(name, given.get(name, {})))
        else:
            label = _free(str(getattr(made or each, "name", name)), entrants)
            entrants[label] = Entrant(label, {} if made else own, name, made)
    if problems:
        raise RaceError("\n  ".join([*problems, f"there are {', '.join(known)}, and {ALL} for all of them"]))
    entrants.setdefault(RANDOM, Entrant(RANDOM, given.get(RANDOM, {})))
    for entrant in entrants.values():
        entrant.strategy()
    return list(entrants.values())


def _free(name: str, taken: Collection[str]) -> str:
    """Return a name for a row that no other row has."""
    names = (f"{name} (own{'' if number == 1 else f' {number}'})" for number in count(1))
    return next(each for each in names if each not in taken)


def refused(strategy: AnyStrategy, space: Space, task: Task | None, *, shares: bool = True) -> str | None:
    """Return why a strategy cannot search a space, None where it can; `task` None: on a table of results.

    With `shares` False, one that asks for a share of a training is refused: a table of whole trainings has none.
    """
    if isinstance(strategy, Strategy):
        if task is None:
            return "it trains a network, and this table has results of finished trainings alone"
        known = task
        return unsupported_reason(strategy, Case(space.name, lambda: space, lambda: known, lambda a, b, c: None))
    context = SearchContext(space, task)
    try:
        state = strategy.init(context, torch.Generator().manual_seed(0))
        first = strategy.ask(context, state) if task is None else None  # on a table that costs nothing
    except SearchError as error:
        return str(error)
    if first is not None and first.fidelity < 1 and not shares:
        return "it begins with a share of a training, and this table has whole trainings alone"
    return None

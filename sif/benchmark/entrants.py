"""Who takes part in a race: strategies by name, with settings of their own."""

from __future__ import annotations

import difflib
import inspect
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

import torch

from nasp_core.errors import SearchError
from nasp_core.methods import STRATEGIES
from nasp_core.network import Space
from nasp_core.strategy import Gradient, Strategy
from nasp_core.testing import Case, refusal
from nasp_core.trials import SearchContext, TrialStrategy
from nasp_core.types import Task
from sif.errors import RaceError
from sif.recipes import load_recipe

__all__ = ["ALL", "RANDOM", "Entrant", "entrants_of", "refused", "settings_of"]

AnyStrategy = Strategy | TrialStrategy
ALL = "all"
RANDOM = "random"
"""The strategy that stands in every table."""


@dataclass(frozen=True)
class Entrant:
    """A strategy of a race: its name, and the settings that it does not take from its defaults."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def strategy(self, trials: int | None = None, gradient: Gradient | None = None) -> AnyStrategy:
        """Return the strategy; a multi-trial strategy gets the budget `trials` where it knows one and none was set.

        `gradient` is how trials learn a point's continuous parameters. Raises `StrategyError` for unknown settings.
        """
        settings = dict(self.settings)
        if trials is not None and "trials" in inspect.signature(STRATEGIES[self.name]).parameters:
            settings.setdefault("trials", trials)
        changes = [f"strategy.settings.{key}={json.dumps(value)}" for key, value in settings.items()]
        strategy: AnyStrategy = load_recipe(
            "ratings", [f"strategy.name={json.dumps(self.name)}", *changes]
        ).make_strategy()
        if gradient is not None and not isinstance(strategy, Strategy) and is_dataclass(strategy):
            strategy = replace(strategy, gradient=gradient)
        return strategy


def settings_of(changes: Sequence[str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the settings of strategies among `STRATEGY.SETTING=VALUE` and `KEY=VALUE`, and the other changes."""
    settings: dict[str, dict[str, Any]] = {}
    others = []
    for change in changes:
        key, _, value = change.partition("=")
        name, _, setting = key.strip().partition(".")
        if name not in STRATEGIES:
            others.append(change)
            continue
        try:
            read = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            read = value.strip()
        settings.setdefault(name, {})[setting] = read
    return settings, others


def entrants_of(names: Sequence[str], settings: Mapping[str, Mapping[str, Any]]) -> list[Entrant]:
    """Return the strategies of a race, each once, random search with them; `all` stands for all there are.

    Raises `RaceError` listing all unknown names, each with the nearest that there is, and `RecipeError` or
    `StrategyError` for settings that a strategy does not take.
    """
    wanted = list(dict.fromkeys(each for name in names for each in (STRATEGIES if name == ALL else [name])))
    problems = []
    for name in (name for name in wanted if name not in STRATEGIES):
        near = difflib.get_close_matches(name, STRATEGIES, n=1)
        problems.append(f"no strategy {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    if problems:
        raise RaceError("\n  ".join([*problems, f"there are {', '.join(STRATEGIES)}, and {ALL} for all of them"]))
    if RANDOM not in wanted:
        wanted.append(RANDOM)
    entrants = [Entrant(name, settings.get(name, {})) for name in wanted]
    for entrant in entrants:
        entrant.strategy()
    return entrants


def refused(strategy: AnyStrategy, space: Space, task: Task | None, *, shares: bool = True) -> str | None:
    """Return why a strategy cannot search a space, None where it can; `task` None: on a table of results.

    With `shares` False, one that asks for a share of a training is refused: a table of whole trainings has none.
    """
    if isinstance(strategy, Strategy):
        if task is None:
            return "it trains a network, and this table has results of finished trainings alone"
        known = task
        return refusal(strategy, Case(space.name, lambda: space, lambda: known, lambda a, b, c: None))
    arena = SearchContext(space, task)
    try:
        state = strategy.init(arena, torch.Generator().manual_seed(0))
        first = strategy.ask(arena, state) if task is None else None  # on a table that costs nothing
    except SearchError as error:
        return str(error)
    if first is not None and first.fidelity < 1 and not shares:
        return "it begins with a share of a training, and this table has whole trainings alone"
    return None

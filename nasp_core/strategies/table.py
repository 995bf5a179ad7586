"""The one name table of strategies: used at the edge (recipes, command line), never inside the core."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from nasp_core.errors import StrategyError
from nasp_core.strategies.darts import darts
from nasp_core.strategies.darts_2nd import darts_2nd
from nasp_core.strategies.nasp import nasp
from nasp_core.strategies.nasp_ranked import nasp_ranked
from nasp_core.strategies.nasp_shortlist import nasp_shortlist
from nasp_core.strategy import Strategy
from nasp_core.trials import TRIALS, TrialStrategy

__all__ = ["STRATEGIES", "make_strategy"]

STRATEGIES: Mapping[str, Callable[..., Strategy | TrialStrategy]] = {
    "nasp": nasp,
    "nasp-ranked": nasp_ranked,
    "nasp-shortlist": nasp_shortlist,
    "darts": darts,
    "darts-2nd": darts_2nd,
    **TRIALS,
}


def make_strategy(name: str, **settings: Any) -> Strategy | TrialStrategy:
    """Return the named strategy; raises `StrategyError` naming the nearest strategy or setting when one is unknown."""
    if name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise StrategyError(f"unknown strategy {name!r}{hint} There are: {', '.join(STRATEGIES)}")
    known = inspect.signature(STRATEGIES[name]).parameters
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" It has: {', '.join(known)}"
            raise StrategyError(f"strategy {name!r} has no setting {key!r}.{hint}")
    return STRATEGIES[name](**settings)

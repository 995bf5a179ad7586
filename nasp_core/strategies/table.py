"""The one name table of strategies: used at the edge (recipes, command line), never inside the core."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from nasp_core.errors import StrategyError, nearest
from nasp_core.strategies.amended_darts import amended_darts
from nasp_core.strategies.asap import asap
from nasp_core.strategies.asng import asng
from nasp_core.strategies.balenas import balenas
from nasp_core.strategies.bayesnas import bayesnas
from nasp_core.strategies.darts import darts
from nasp_core.strategies.darts_2nd import darts_2nd
from nasp_core.strategies.darts_minus import darts_minus
from nasp_core.strategies.darts_pt import darts_pt
from nasp_core.strategies.dots import dots
from nasp_core.strategies.drnas import drnas
from nasp_core.strategies.entrannas import entrannas
from nasp_core.strategies.fairnas import fairnas
from nasp_core.strategies.freedarts import freedarts
from nasp_core.strategies.gaea import gaea
from nasp_core.strategies.gdas import gdas
from nasp_core.strategies.gold_nas import gold_nas
from nasp_core.strategies.greedynas import greedynas
from nasp_core.strategies.msg_das import msg_das
from nasp_core.strategies.na_nas import na_nas
from nasp_core.strategies.nasp import nasp
from nasp_core.strategies.nasp_ranked import nasp_ranked
from nasp_core.strategies.nasp_shortlist import nasp_shortlist
from nasp_core.strategies.noisy_darts import noisy_darts
from nasp_core.strategies.pc_darts import pc_darts
from nasp_core.strategies.rarts import rarts
from nasp_core.strategies.rf_darts import rf_darts
from nasp_core.strategies.shapley import shapley
from nasp_core.strategies.snas import snas
from nasp_core.strategies.spos import spos
from nasp_core.strategies.tnd_nas import tnd_nas
from nasp_core.strategy import Strategy
from nasp_core.trials import TRIALS, TrialStrategy

__all__ = ["STRATEGIES", "make_strategy"]

STRATEGIES: Mapping[str, Callable[..., Strategy | TrialStrategy]] = {
    "nasp": nasp,
    "nasp-ranked": nasp_ranked,
    "nasp-shortlist": nasp_shortlist,
    "darts": darts,
    "darts-2nd": darts_2nd,
    "snas": snas,
    "gdas": gdas,
    "drnas": drnas,
    "gaea": gaea,
    "asng": asng,
    "balenas": balenas,
    "bayesnas": bayesnas,
    "msg-das": msg_das,
    "rarts": rarts,
    "amended-darts": amended_darts,
    "gold-nas": gold_nas,
    "asap": asap,
    "tnd-nas": tnd_nas,
    "darts-pt": darts_pt,
    "shapley": shapley,
    "freedarts": freedarts,
    "spos": spos,
    "fairnas": fairnas,
    "greedynas": greedynas,
    "na-nas": na_nas,
    "darts-minus": darts_minus,
    "noisy-darts": noisy_darts,
    "rf-darts": rf_darts,
    "pc-darts": pc_darts,
    "entrannas": entrannas,
    "dots": dots,
    **TRIALS,
}


def make_strategy(name: str, **settings: Any) -> Strategy | TrialStrategy:
    """Return the named strategy; raises `StrategyError` naming the nearest strategy or setting when one is unknown."""
    if name not in STRATEGIES:
        near = nearest(name, STRATEGIES)
        hint = f"; did you mean {near!r}?" if near else "."
        raise StrategyError(f"unknown strategy {name!r}{hint} There are: {', '.join(STRATEGIES)}")
    known = inspect.signature(STRATEGIES[name]).parameters
    for key in settings:
        if key not in known:
            near = nearest(key, known)
            hint = f" Did you mean {near!r}?" if near else f" It has: {', '.join(known)}"
            raise StrategyError(f"strategy {name!r} has no setting {key!r}.{hint}")
    return STRATEGIES[name](**settings)

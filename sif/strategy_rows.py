"""The rows of `sif strategies`: kept beside the package, so that nobody waits for them to be counted again."""

import re
from collections.abc import Mapping
from typing import Any

from sif.extend import names_of
from sif.strategy_store import fresh_rows

__all__ = ["describe_strategy", "parts_in_short", "strategy_rows"]


def strategy_rows() -> list[dict[str, Any]]:
    """Return one row of plain data a strategy, in the order of the name table, then those of entry points.

    Keys as in `describe_strategy`.
    """
    known: Mapping[str, Any] | None = fresh_rows()
    if known is None:
        from nasp_core.methods import STRATEGIES

        known = STRATEGIES
    return [describe_strategy(name) for name in names_of("strategy", known)]


def describe_strategy(name: str) -> dict[str, Any]:
    """Return what a strategy says of itself, as plain data; raises `StrategyError` with the nearest name.

    Keys: `name`, `kind` (`one-shot` or `multi-trial`), `about` (the first line of its docstring), `papers`, `parts`
    (role -> part as text), `settings` (name -> default), `notes` (what its docstring says of departures and failures),
    `spaces` (space -> whether it runs there), `refused` (space -> reasons why not), `step_cost` (see
    `sif.strategies.step_cost`), `bibtex`.
    """
    kept = fresh_rows()
    if kept is not None and name in kept:
        return dict(kept[name])
    from sif.strategies import described

    return described(name)


def parts_in_short(row: Mapping[str, Any]) -> str:
    """Return the parts of a row of `strategy_rows` by their names alone: `Box, OneHot, FirstOrder, Argmax`."""
    if row["kind"] == "multi-trial":
        return re.sub(r"\(.*", "", row["parts"]["trials"])
    names = []
    for text in row["parts"].values():
        names += re.findall(r"(?:^|, )([A-Z]\w*)\(", _flat(text))
    return ", ".join(names)


def _flat(text: str) -> str:
    """Return a description without what its brackets hold."""
    depth, kept = 0, ""
    for letter in text:
        depth -= letter == ")"
        if depth == 0 or (letter == "(" and depth == 0):
            kept += letter
        depth += letter == "("
    return kept

"""Budgets: tables of a recipe that change its values to fit a machine; the recipe itself states the full one."""

from collections.abc import Iterator, Mapping, MutableMapping
from copy import deepcopy
from typing import Any

from nasp_core.errors import did_you_mean
from sif.errors import RecipeError
from sif.recipes.base import place

__all__ = ["BUDGETED", "FULL", "apply_budget", "stated"]

FULL = "full"
"""The budget that a recipe's own values are."""
BUDGETED = ("pictures", "text", "space", "network", "strategy", "search", "train", "compare", "retrain")
"""The values that a budget may change."""


def apply_budget(data: dict[str, Any], places: dict[str, str], origin: str, name: str) -> dict[str, Any] | None:
    """Change the plain data of a recipe to its budget `name` (default: the one it names) and return that table.

    Every value that any budget changes is kept under `budgets.full` as the recipe states it, so that a later step can
    go back to it. A recipe without budgets is left alone (None). Raises `RecipeError` for an unknown budget, and for a
    budget that changes what the recipe does not state or may not change.
    """
    budgets = data.get("budgets")
    if not isinstance(budgets, dict) or not all(isinstance(table, dict) for table in budgets.values()):
        if name:
            raise RecipeError(f"{origin} has no budgets: leave out --budget {name}")
        return None
    name = name or str(data.get("budget", FULL))
    full = budgets.setdefault(FULL, {})
    for budget, table in budgets.items():
        for path, value in _leaves(table):
            where = place(places, ".".join(("budgets", budget, *path)))
            if path[0] not in BUDGETED:
                only = ", ".join(BUDGETED)
                raise RecipeError(f"{origin}: {where}budgets.{budget} may not change {path[0]}: only {only}")
            if budget != FULL and not stated(full, path):
                if not stated(data, path):
                    key = ".".join(path)
                    raise RecipeError(
                        f"{origin}: {where}budgets.{budget} changes {key} = {value!r}, which the recipe "
                        f"does not state; state {key} itself too"
                    )
                _set(full, path, deepcopy(_get(data, path)))
    if name not in budgets:
        hint = did_you_mean(name, budgets, "Did you mean {}? ")
        raise RecipeError(f"{origin} has no budget {name!r}. {hint}There are: {', '.join(sorted(budgets))}")
    chosen: dict[str, Any] = budgets[name]
    for source, label in ((full, FULL), (chosen, name)):
        for path, value in _leaves(source):
            _set(data, path, deepcopy(value))
            if label != FULL:
                places[".".join(path)] = place(places, ".".join(("budgets", label, *path))).strip()
    data["budget"] = name
    return chosen


def _leaves(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def stated(data: Any, path: tuple[str, ...]) -> bool:
    """Return whether plain data hold a value at `path`."""
    for key in path:
        if not isinstance(data, Mapping) or key not in data:
            return False
        data = data[key]
    return True


def _get(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


def _set(data: MutableMapping[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        data = data.setdefault(key, {})
    data[path[-1]] = value

"""Reading recipes: shipped ones by name, files, overrides and budgets; all problems are reported at once."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sif.errors import RecipeError
from sif.problems import problem
from sif.recipes.base import BaseRecipe, Source, place, refusal
from sif.recipes.budgets import FULL, apply_budget, stated
from sif.recipes.rating import Recipe
from sif.resources import resource_dir

__all__ = [
    "changes_of",
    "load_rating_recipe",
    "load_recipe",
    "parse_recipe",
    "recipe_class",
    "recipe_names",
    "recipe_text",
]


def recipe_names() -> list[str]:
    """Return the names of the recipes that ship with the package."""
    return sorted(path.stem for path in resource_dir("recipes").glob("*.toml"))


def recipe_text(name: str) -> str:
    """Return the text of a shipped recipe; raises `RecipeError` with the nearest name when there is none."""
    names = recipe_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise RecipeError(f'no recipe "{name}". {hint}There are: {", ".join(names)}')
    return (resource_dir("recipes") / f"{name}.toml").read_text(encoding="utf-8")


def load_recipe(source: str | Path, overrides: Sequence[str] = (), budget: str = "") -> Any:
    """Return the recipe of a file, or a shipped one by name, with `key=value` overrides (dotted keys).

    `budget` names one of the recipe's budgets (default: the one that the recipe names itself). Raises `RecipeError`
    listing all problems, each with its line or override.
    """
    path = Path(source)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise RecipeError(f"no recipe file {path}; `sif recipes ls` lists the recipes that ship")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise RecipeError(f"{path} is not TOML: it is not UTF-8 text") from None
        return parse_recipe(text, str(path), overrides, budget)
    return parse_recipe(recipe_text(str(source)), f"recipe {source}", overrides, budget)


def changes_of(settings: Mapping[str, Any] | None, strategy: str | None, seed: int | None) -> list[str]:
    """Return what a caller in Python changes, as overrides: settings by dotted key, the strategy, the seed."""
    named = dict(settings or {})
    named |= {} if strategy is None else {"strategy.name": strategy}
    named |= {} if seed is None else {"seed": seed}
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in named.items()]


def load_rating_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return a recipe of ratings (see `load_recipe`); raises `RecipeError` for one of cells."""
    recipe = load_recipe(source, overrides)
    if not isinstance(recipe, Recipe):
        raise RecipeError(f"{recipe.origin} is of task {recipe.task}; use sif.search_cells")
    return recipe


def parse_recipe(text: str, origin: str, overrides: Sequence[str] = (), budget: str = "") -> Any:
    """Return the recipe that `text` holds; see `load_recipe`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is not TOML: {error}") from None
    places = dict(_lines(text))
    changes = [(*_override(override), override) for override in overrides]
    own = data.get("strategy")
    if isinstance(own, dict) and any(key == "strategy.name" and value != own.get("name") for key, value, _ in changes):
        budgets = data.get("budgets")
        tables = (
            [t.get("strategy") for t in budgets.values() if isinstance(t, dict)] if isinstance(budgets, dict) else []
        )
        for table in (own, *(t for t in tables if isinstance(t, dict))):
            table.pop("settings", None)  # those of the recipe's own strategy
    early = [change for change in changes if change[0].partition(".")[0] in ("budget", "budgets")]
    for key, value, override in early:
        _put(data, key, value, override)
        places[key] = f"--set {override}"
    named = {str(value) for key, value, _ in early if key == "budget"}
    if budget and named - {budget}:
        raise RecipeError(f"{origin}: two budgets, --budget {budget} and --set budget={named.pop()}; give one")
    chosen = apply_budget(data, places, origin, budget)
    for key, value, override in (change for change in changes if change not in early):
        _put(data, key, value, override)
        if chosen is not None and stated(data["budgets"][FULL], tuple(key.split("."))):
            _put(chosen, key, value, override)  # so that the resolved recipe, read again, says the same
        places[key] = f"--set {override}"
    kind = recipe_class(data, origin, places)
    try:
        recipe = kind.model_validate(data)
    except ValidationError as error:
        told = dict.fromkeys(_explain(kind, places, problem) for problem in error.errors())
        raise refusal(origin, sorted(told, key=_line_number)) from None
    recipe._source = Source(origin, places)
    return recipe


def recipe_class(
    data: Mapping[str, Any], origin: str = "the recipe", places: Mapping[str, str] | None = None
) -> type[BaseRecipe]:
    """Return the class of the recipe that plain data hold: that of its task and space."""
    task = str(data.get("task", "rating"))
    try:
        kinds = problem(task).recipes
    except RecipeError as error:
        key, why = "task", str(error).partition(": ")[2] or str(error)
        raise refusal(origin, [f"{place(places or {}, key)}task = {task!r}: {why}"]) from None
    space = data.get("space", {})
    name = str(space.get("name", next(iter(kinds)))) if isinstance(space, Mapping) else ""
    if name in kinds:
        return kinds[name]
    where = place(places or {}, "space.name")
    raise refusal(origin, [f"{where}space.name = {name!r}: there are {', '.join(kinds)}"])


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield (dotted key, "line N") of every table and key of a TOML text."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([\w.\"-]+)\]", line):
            table = header[1] + "."
            yield header[1], f"line {number}"
        elif key := re.match(r"\s*([\w.\"-]+)\s*=", line):
            yield table + key[1], f"line {number}"


def _override(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise RecipeError(f"--set {text} is not key=value; for instance --set search.epochs=5")
    try:
        return key.strip(), tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _put(data: dict[str, Any], key: str, value: Any, override: str) -> None:
    *tables, last = key.split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise RecipeError(f"--set {override}: {table} is a value, not a table")
    data[last] = value


def _line_number(problem: str) -> float:
    found = re.match(r"line (\d+) ", problem)
    return int(found[1]) if found else float("inf")


def _explain(recipe: type[BaseRecipe], places: Mapping[str, str], problem: Any) -> str:
    location, kind = problem["loc"], problem["type"]
    if location[:2] == ("strategy", "settings") and len(location) > 3:
        location, kind = location[:3], "setting"
    names = tuple(part for part in location if isinstance(part, str) and part != "[key]")
    key = ".".join(names)
    where = place(places, key)
    if kind == "extra_forbidden":
        known = _known(recipe, names[:-1])
        near = difflib.get_close_matches(names[-1], known, n=1)
        prefix = ".".join(names[:-1]) + "." if names[:-1] else ""
        hint = f"Did you mean {prefix}{near[0]}?" if near else f"There are: {', '.join(known)}"
        return f"{where}unknown key {key}. {hint}"
    if "[key]" in location:
        return f"{where}unknown key {key}. There are: {problem['ctx']['expected'].replace(chr(39), '')}"
    texts = {
        "model_type": "this is a table, not a value",
        "model_attributes_type": "this is a table, not a value",
        "tuple_type": 'give a list, such as [1, 2] or ["a", "b"]',
        "missing": "too few values",
        "too_long": "too many values",
        "setting": "give a number, a text, true or false, or a list of numbers",
    }
    text = texts.get(kind, problem["msg"][:1].lower() + problem["msg"][1:])
    return f"{where}{key} = {problem['input']!r}: {text}"


def _known(kind: type[BaseRecipe], location: tuple[str, ...]) -> list[str]:
    model: Any = kind
    for part in location:
        model = model.model_fields[part].annotation
    return list(model.model_fields)

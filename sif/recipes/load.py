"""Reading recipes: shipped ones by name, files, overrides and budgets; all problems are reported at once."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nasp_core.errors import did_you_mean
from nasp_core.methods.table import RENAMED_SETTINGS
from sif.errors import RecipeError
from sif.recipes.base import BaseRecipe, RecipeSource, build_errors, place
from sif.recipes.budgets import FULL, apply_budget, stated
from sif.recipes.changes import IN_MEMORY, Change, misread, read_changes, settled
from sif.recipes.choices import drop_unused, unused
from sif.recipes.limit import NONE
from sif.recipes.problems import problem
from sif.recipes.shipped import recipe_names, recipe_text

__all__ = [
    "load_recipe",
    "parse_recipe",
    "recipe_class",
]

_OF_A_STRATEGY = ("baselines.enumerate", "baselines.random", "space.name", "task")


def load_recipe(source: str | Path, overrides: Sequence[str | Change] = (), budget: str = "") -> Any:
    """Return a recipe.

    Args:
        source: A file, or the name of a shipped one.
        overrides: `key=value` each (dotted keys), or what `changes_of` returned.
        budget: One of the recipe's budgets; by default the one that the recipe names itself.

    Raises:
        RecipeError: The recipe has problems; all of them, each with its line or override.
    """
    path = Path(source)
    if str(source) not in recipe_names() and (path.suffix == ".toml" or path.is_file()):
        if not path.is_file():
            raise RecipeError(f"no recipe file {path}; `sif recipes ls` lists the recipes that ship")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise RecipeError(f"{path} is not TOML: it is not UTF-8 text") from None
        return parse_recipe(text, str(path), overrides, budget)
    return parse_recipe(recipe_text(str(source)), f"recipe {source}", overrides, budget)


def parse_recipe(text: str, origin: str, overrides: Sequence[str | Change] = (), budget: str = "") -> Any:
    """Return the recipe that `text` holds; see `load_recipe`.

    Args:
        text: The recipe as TOML.
        origin: What messages call it.
        overrides: As in `load_recipe`.
        budget: As in `load_recipe`.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is not TOML: {error}") from None
    places, read = dict(_lines(text)), read_changes(overrides)
    kind = _kind_of(data, read)
    if budget and kind is not None and "study" in kind.model_fields:  # of a table: what a study may spend
        if said := [change for change in read if change.key == "study.budget"]:
            raise RecipeError(f"{origin}: two budgets, --budget {budget} and {said[-1].place}; give one")
        read, budget = [*read, Change("study.budget", budget, "--budget")], ""
    read = [*read, *_alone(data, read)]
    made = [change for change in read if change.key == IN_MEMORY and not change.typed]
    changes = list(settled([each for each in read if each not in made], kind, _name_in(data.get("strategy"))))
    drop_unused(data, changes, kind, kind is not _kind_of(data, ()))
    early = [change for change in changes if change.key.partition(".")[0] in ("budget", "budgets")]
    for change in early:
        _put(data, change)
        places[change.key] = change.place
    named = {str(change.value) for change in early if change.key == "budget"}
    if budget and named - {budget}:
        raise RecipeError(f"{origin}: two budgets, --budget {budget} and --set budget={named.pop()}; give one")
    chosen = apply_budget(data, places, origin, budget)
    for given in (change for change in changes if change not in early):
        change = _under_the_name_of_today(given, data)
        _put(data, change)
        if chosen is not None and stated(data["budgets"][FULL], tuple(change.key.split("."))):
            _put(chosen, change)  # so that the resolved recipe, read again, says the same
        places[change.key] = change.place
    recipe = _validated(data, origin, places)
    recipe.strategy._made = made[-1].value if made else None
    recipe._source = RecipeSource(origin, places)
    recipe.refuse(list(unused(recipe, [change.key for change in changes])))
    return recipe


def _alone(data: Mapping[str, Any], changes: Sequence[Change]) -> list[Change]:
    """Return the change that ends a recipe's study where the strategy's own search is changed, and no budget is given.

    Who names a strategy, or sets what only its search reads, asks for that search.
    """
    own = data.get("study")
    if not isinstance(own, Mapping) or own.get("budget", NONE) == NONE:
        return []
    keys = [change.key for change in changes]
    asks = any(key.partition(".")[0] in ("strategy", "search", "tune") or key in _OF_A_STRATEGY for key in keys)
    return [Change("study.budget", NONE, "the recipe")] if asks and "study.budget" not in keys else []


def _kind_of(data: Mapping[str, Any], changes: Sequence[Change]) -> type[BaseRecipe] | None:
    """Return the class that the recipe will have with the changes; None where it names no task or space there is."""
    given = {change.key: change.value for change in changes}
    name = given.get("space.name") or _name_in(data.get("space"))
    try:
        return recipe_class(
            {"task": given.get("task", data.get("task", "rating")), "space": {"name": name} if name else {}}
        )
    except RecipeError:
        return None


def _name_in(table: Any) -> str:
    return str(table.get("name", "")) if isinstance(table, Mapping) else ""


def _validated(data: dict[str, Any], origin: str, places: Mapping[str, str]) -> Any:
    """Return the recipe that plain data hold; raises `RecipeError` with all problems of its values."""
    kind = recipe_class(data, origin, places)
    problems = [
        f"{place(places, key)}{key} = {value!r}: give a number, not true or false" for key, value in misread(data, kind)
    ]
    try:
        recipe = kind.model_validate(data)
    except ValidationError as error:
        problems += [_explain(kind, places, problem) for problem in error.errors()]
    if problems:
        raise build_errors(origin, sorted(dict.fromkeys(problems), key=_line_number))
    return recipe


def _under_the_name_of_today(change: Change, data: Mapping[str, Any]) -> Change:
    """Return a change of a strategy's setting under the name of today, where the recipe has it under that."""
    table, _, old = change.key.rpartition(".")
    new = RENAMED_SETTINGS.get(old, old)
    strategy = data.get("strategy")
    settings = strategy.get("settings") if isinstance(strategy, Mapping) else None
    if table == "strategy.settings" and isinstance(settings, Mapping) and new in settings and old not in settings:
        return change._replace(key=f"{table}.{new}")
    return change


def recipe_class(
    data: Mapping[str, Any], origin: str = "the recipe", places: Mapping[str, str] | None = None
) -> type[BaseRecipe]:
    """Return the class of the recipe that plain data hold: that of its task and space."""
    task = str(data.get("task", "rating"))
    try:
        kinds = problem(task).recipes
    except RecipeError as error:
        key, why = "task", str(error).partition(": ")[2] or str(error)
        raise build_errors(origin, [f"{place(places or {}, key)}task = {task!r}: {why}"]) from None
    space = data.get("space", {})
    name = str(space.get("name", next(iter(kinds)))) if isinstance(space, Mapping) else ""
    if name in kinds:
        found: type[BaseRecipe] = kinds[name]
        return found
    where = place(places or {}, "space.name")
    raise build_errors(origin, [f"{where}space.name = {name!r}: there are {', '.join(kinds)}"])


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield (dotted key, "line N") of every table and key of a TOML text."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([\w.\"-]+)\]", line):
            table = header[1] + "."
            yield header[1], f"line {number}"
        elif key := re.match(r"\s*([\w.\"-]+)\s*=", line):
            yield table + key[1], f"line {number}"


def _put(data: dict[str, Any], change: Change) -> None:
    *tables, last = change.key.split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise RecipeError(f"{change.place}: {table} is a value, not a table")
    data[last] = change.value


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
        prefix = "".join(f"{name}." for name in names[:-1])
        hint = did_you_mean(names[-1], known, f"Did you mean {prefix}{{}}?", f"There are: {', '.join(known)}")
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

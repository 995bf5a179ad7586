"""Recipes: one TOML file holds every value of a run. Closed and typed; all problems are reported at once."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from nasp_core.optimise import Optimiser, Training
from nasp_core.spaces import InteractionSettings
from nasp_core.strategies import make_strategy
from nasp_core.strategy import Strategy
from nasp_core.trials import TrialStrategy
from sif.errors import RecipeError
from sif.resources import resource_dir

__all__ = ["Recipe", "dump_toml", "load_recipe", "parse_recipe", "recipe_names", "recipe_text"]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _model_of(cls: type, **overrides: Any) -> type[BaseModel]:
    """Return a closed pydantic model with the fields, types and defaults of a frozen dataclass."""
    hints = get_type_hints(cls)
    members: dict[str, Any] = {}
    for field in fields(cls):
        hint = overrides.get(field.name, hints[field.name])
        default = field.default if field.default is not MISSING else ...
        if is_dataclass(default):
            default = Field(default_factory=hint)
        members[field.name] = (hint, default)
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid", frozen=True), **members)


_OptimiserModel = _model_of(Optimiser)
_TrainingModel = _model_of(Training, optimiser=_OptimiserModel)
_SettingsModel = _model_of(InteractionSettings)


class SplitRecipe(_Closed):
    """How the data are cut; `seed` None takes the run's seed."""

    kind: Literal["random", "user", "leave-last-out", "temporal"] = "random"
    fractions: tuple[float, float, float] = (0.5, 0.25, 0.25)
    seed: int | None = None


class SpaceRecipe(_SettingsModel):  # type: ignore[misc, valid-type]
    """Which space is searched, with its settings."""

    name: Literal["interaction", "tensor-interaction"] = "interaction"


class StrategyRecipe(_Closed):
    """Which strategy searches, with its settings by name."""

    name: str = "nasp-ranked"
    settings: dict[str, bool | int | float | str | list[float] | list[int]] = Field(default_factory=dict)


class BaselineRecipe(_Closed):
    """Which baselines stand beside the find: fixed models by name, all points (`enumerate`), random search."""

    names: tuple[str, ...] = ()
    enumerate: bool = True
    random: bool = True


class TuneRecipe(_Closed):
    """The grid on which the find and the baselines choose by validation; the recipe's own values are always in it.

    `l2` holds for all that have embeddings; `embedding_dim` for the find and the tuned baseline (biased-mf).
    """

    l2: tuple[float, ...] = ()
    embedding_dim: tuple[int, ...] = ()


class Recipe(_Closed):
    """Every value of a run: data, split, space, strategy, the two trainings, the baselines."""

    task: Literal["rating"] = "rating"
    dataset: str = ""
    valid: str = ""
    test: str = ""
    columns: dict[Literal["user", "item", "rating", "timestamp", "context"], str] = Field(default_factory=dict)
    context: Literal["none", "month", "column"] = "none"
    seed: int = Field(default=0, ge=0)
    split: SplitRecipe = SplitRecipe()
    space: SpaceRecipe = SpaceRecipe()
    strategy: StrategyRecipe = StrategyRecipe()
    search: _TrainingModel = _TrainingModel()  # type: ignore[valid-type]
    train: _TrainingModel = _TrainingModel()  # type: ignore[valid-type]
    tune: TuneRecipe = TuneRecipe()
    baselines: BaselineRecipe = BaselineRecipe()

    def settings(self) -> InteractionSettings:
        """Return the settings of the space."""
        return InteractionSettings(**{k: v for k, v in self.space.model_dump().items() if k != "name"})

    def training(self, which: Literal["search", "train"]) -> Training:
        """Return the schedule of the search or of the final training."""
        values = getattr(self, which).model_dump()
        return Training(**values | {"optimiser": Optimiser(**values["optimiser"])})

    def make_strategy(self) -> Strategy | TrialStrategy:
        """Return the strategy; raises `StrategyError` for an unknown name or setting, or parts that do not fit."""
        settings = {k: tuple(v) if isinstance(v, list) else v for k, v in self.strategy.settings.items()}
        return make_strategy(self.strategy.name, **settings)


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


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a file, or a shipped one by name, with `key=value` overrides (dotted keys).

    Raises `RecipeError` listing all problems, each with its line or override.
    """
    path = Path(source)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise RecipeError(f"no recipe file {path}; `sif recipes ls` lists the recipes that ship")
        return parse_recipe(path.read_text(encoding="utf-8"), str(path), overrides)
    return parse_recipe(recipe_text(str(source)), f"recipe {source}", overrides)


def parse_recipe(text: str, origin: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe that `text` holds; see `load_recipe`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is not TOML: {error}") from None
    places = dict(_lines(text))
    for override in overrides:
        key, value = _override(override)
        _put(data, key, value, override)
        places[key] = f"--set {override}"
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        problems = [_explain(data, places, problem) for problem in error.errors()]
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise RecipeError(f"{origin} has {count}\n" + "\n".join(f"  {p}" for p in problems)) from None
    return recipe


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


def _explain(data: Mapping[str, Any], places: Mapping[str, str], problem: Any) -> str:
    location = tuple(part for part in problem["loc"] if isinstance(part, str))
    key = ".".join(location)
    where = places.get(key) or places.get(".".join(location[:-1]), "somewhere")
    if problem["type"] == "extra_forbidden":
        known = _known(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1)
        prefix = ".".join(location[:-1]) + "." if location[:-1] else ""
        hint = f"Did you mean {prefix}{near[0]}?" if near else f"There are: {', '.join(known)}"
        return f"{where}  unknown key {key}. {hint}"
    return f"{where}  {key} = {problem['input']!r}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _known(location: tuple[str, ...]) -> list[str]:
    model: Any = Recipe
    for part in location:
        model = model.model_fields[part].annotation
    return list(model.model_fields)


def dump_toml(data: Mapping[str, Any], prefix: str = "") -> str:
    """Return plain data as TOML text: values first, then tables; None is left out (a recipe's default)."""
    values = [f"{k} = {_literal(v)}" for k, v in data.items() if v is not None and not isinstance(v, Mapping)]
    tables = [(k, v) for k, v in data.items() if isinstance(v, Mapping)]
    text = "\n".join(values) + ("\n" if values else "")
    for name, table in tables:
        text += f"\n[{prefix}{name}]\n" + dump_toml(table, f"{prefix}{name}.")
    return text


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return repr(value)

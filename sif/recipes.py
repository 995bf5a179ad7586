"""Recipes: one TOML file holds every value of a run. Closed and typed; all problems are reported at once."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    create_model,
    model_validator,
)

from nasp_core.errors import StrategyError
from nasp_core.optimise import Optimiser, Training
from nasp_core.spaces import InteractionSettings
from nasp_core.strategies import STRATEGIES, make_strategy
from nasp_core.strategy import Strategy
from nasp_core.trials import TrialStrategy
from sif.errors import RecipeError
from sif.resources import resource_dir
from sif.toml import toml_literal

__all__ = ["Recipe", "load_recipe", "parse_recipe", "recipe_names", "recipe_text"]


_CLOSED = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Closed(BaseModel):
    """A table of a recipe; TOML has no null, so `"none"` stands for it where a value may be missing."""

    model_config = _CLOSED

    @model_validator(mode="before")
    @classmethod
    def _none_of_text(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        optional = {name for name, field in cls.model_fields.items() if NoneType in get_args(field.annotation)}
        return {key: None if value == "none" and key in optional else value for key, value in data.items()}


_Share = Annotated[float, Field(ge=0, lt=1)]
_Size = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=1)]
_BOUNDS: Mapping[str, Any] = {
    "learning_rate": Annotated[float, Field(gt=0)],
    "final_learning_rate": _Size,
    "momentum": _Share,
    "betas": tuple[_Share, _Share],
    "weight_decay": _Size,
    "clip": Annotated[float, Field(gt=0)] | None,
    "epochs": _Count,
    "batch_size": _Count,
    "evaluate_every": Annotated[int, Field(ge=0)],
    "min_steps": Annotated[int, Field(ge=0)],
    "patience": _Count | None,
    "embedding_dim": _Count,
    "hidden": Annotated[int, Field(ge=0)],
    "max_norm": Annotated[float, Field(gt=0)] | None,
    "init_std": _Size,
    "l2": _Size,
    "bias_l2": _Size,
    "l2_frequency": _Size,
}
"""What the values of the core's dataclasses may be, so that a recipe's line is named before anything runs."""
_NOT_SETTINGS = ("gradient", "name", "papers")  # of the trial strategies: parts, which no recipe can write


def _model_of(cls: type, **overrides: Any) -> type[BaseModel]:
    """Return a closed pydantic model with the fields, types, bounds and defaults of a frozen dataclass."""
    hints = get_type_hints(cls)
    members: dict[str, Any] = {}
    for field in fields(cls):
        hint = overrides.get(field.name) or _BOUNDS.get(field.name, hints[field.name])
        default = field.default if field.default is not MISSING else ...
        if is_dataclass(default):
            default = Field(default_factory=hint)
        members[field.name] = (hint, default)
    return create_model(cls.__name__, __base__=_Closed, **members)


_OptimiserModel = _model_of(Optimiser)
_TrainingModel = _model_of(Training, optimiser=_OptimiserModel)
_SettingsModel = _model_of(InteractionSettings)


class SplitRecipe(_Closed):
    """How the data are cut; `seed` None takes the run's seed."""

    kind: Literal["random", "user", "leave-last-out", "temporal"] = "random"
    fractions: tuple[float, float, float] = (0.5, 0.25, 0.25)
    seed: Annotated[int, Field(ge=0)] | None = None


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

    l2: tuple[_Size, ...] = ()
    embedding_dim: tuple[_Count, ...] = ()


class _Source:
    """Where a recipe was read, for messages; no part of its value, so that all are equal."""

    def __init__(self, origin: str, places: Mapping[str, str]) -> None:
        self.origin, self.places = origin, places

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source)

    def __hash__(self) -> int:
        return 0


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

    _source: _Source = PrivateAttr(default_factory=lambda: _Source("the recipe", {}))

    @property
    def origin(self) -> str:
        """Where the recipe comes from, for messages."""
        return self._source.origin

    def problem(self, key: str, text: str) -> str:
        """Return a problem with `key` as one line of a message: place, key with its value, text."""
        value: Any = self
        for part in key.split("."):
            value = value[part] if isinstance(value, dict) else getattr(value, part)
        where = _place(self._source.places, key)
        if isinstance(value, BaseModel):
            return f"{where}{key}: {text}"
        shown = toml_literal(value)
        return f"{where}{key} = {shown if len(shown) <= 60 else shown[:57] + '...'}: {text}"

    def settings(self) -> InteractionSettings:
        """Return the settings of the space."""
        return InteractionSettings(**{k: v for k, v in self.space.model_dump().items() if k != "name"})

    def training(self, which: Literal["search", "train"]) -> Training:
        """Return the schedule of the search or of the final training."""
        values = getattr(self, which).model_dump()
        return Training(**values | {"optimiser": Optimiser(**values["optimiser"])})

    def make_strategy(self) -> Strategy | TrialStrategy:
        """Return the strategy; raises `StrategyError` for an unknown name or setting, or parts that do not fit."""
        name = self.strategy.name
        settings = {k: tuple(v) if isinstance(v, list) else v for k, v in self.strategy.settings.items()}
        hints = get_type_hints(STRATEGIES[name]) if name in STRATEGIES else {}
        for key, value in settings.items():
            if key in _NOT_SETTINGS:
                raise StrategyError(f"{key} is no setting of a recipe's strategy")
            try:
                TypeAdapter(hints.get(key, Any)).validate_python(value)
            except ValidationError as error:
                message = error.errors()[0]["msg"]
                raise StrategyError(f"{key} = {toml_literal(value)}: {message[:1].lower()}{message[1:]}") from None
        return make_strategy(name, **settings)


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
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise RecipeError(f"{path} is not TOML: it is not UTF-8 text") from None
        return parse_recipe(text, str(path), overrides)
    return parse_recipe(recipe_text(str(source)), f"recipe {source}", overrides)


def parse_recipe(text: str, origin: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe that `text` holds; see `load_recipe`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin} is not TOML: {error}") from None
    places = dict(_lines(text))
    changes = [(*_override(override), override) for override in overrides]
    own = data.get("strategy")
    if isinstance(own, dict) and any(key == "strategy.name" and value != own.get("name") for key, value, _ in changes):
        own.pop("settings", None)  # those of the recipe's own strategy
    for key, value, override in changes:
        _put(data, key, value, override)
        places[key] = f"--set {override}"
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        problems = list(dict.fromkeys(_explain(places, problem) for problem in error.errors()))
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise RecipeError(f"{origin} has {count}\n" + "\n".join(f"  {p}" for p in problems)) from None
    recipe._source = _Source(origin, places)
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


def _place(places: Mapping[str, str], key: str) -> str:
    """Return where a key stands, or the nearest table above it: "line 3  "; nothing for a key that has no place."""
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        above = ".".join(parts[:length])
        for place in places:
            if place == above or place.startswith(above + "."):
                return places[place] + "  "
    return ""


def _explain(places: Mapping[str, str], problem: Any) -> str:
    location, kind = problem["loc"], problem["type"]
    if location[:2] == ("strategy", "settings") and len(location) > 3:
        location, kind = location[:3], "setting"
    names = tuple(part for part in location if isinstance(part, str) and part != "[key]")
    key = ".".join(names)
    where = _place(places, key)
    if kind == "extra_forbidden":
        known = _known(names[:-1])
        near = difflib.get_close_matches(names[-1], known, n=1)
        prefix = ".".join(names[:-1]) + "." if names[:-1] else ""
        hint = f"Did you mean {prefix}{near[0]}?" if near else f"There are: {', '.join(known)}"
        return f"{where}unknown key {key}. {hint}"
    if "[key]" in location:
        return f"{where}unknown key {key}. There are: {problem['ctx']['expected'].replace(chr(39), '')}"
    texts = {
        "model_type": "this is a table, not a value",
        "model_attributes_type": "this is a table, not a value",
        "missing": "too few values",
        "too_long": "too many values",
        "setting": "give a number, a text, true or false, or a list of numbers",
    }
    text = texts.get(kind, problem["msg"][:1].lower() + problem["msg"][1:])
    return f"{where}{key} = {problem['input']!r}: {text}"


def _known(location: tuple[str, ...]) -> list[str]:
    model: Any = Recipe
    for part in location:
        model = model.model_fields[part].annotation
    return list(model.model_fields)

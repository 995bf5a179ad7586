"""What every recipe has: a task, data, a strategy, two trainings, and where each value was read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, PrivateAttr

from nasp_core.errors import NaspError
from nasp_core.methods import STRATEGIES
from nasp_core.optimise import Optimiser, Training
from nasp_core.strategy import Strategy
from nasp_core.trials import TrialStrategy
from sif.errors import RecipeError
from sif.recipes.closed import StrictTable, model_of
from sif.recipes.strategy import StrategyRecipe
from sif.toml import toml_literal

__all__ = ["BaseRecipe", "Choices", "RecipeSource", "StrategyRecipe", "TrainingModel", "build_errors", "place"]

_OptimiserModel = model_of(Optimiser)
TrainingModel: Any = model_of(Training, optimiser=_OptimiserModel)


class RecipeSource:
    """Where a recipe was read, for messages; no part of its value, so that all are equal."""

    def __init__(self, origin: str, places: Mapping[str, str]) -> None:
        self.origin, self.places = origin, places

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecipeSource)

    def __hash__(self) -> int:
        return 0


Choices = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Choice -> the values that hang on it, each with what may be chosen for it to have a use."""


class BaseRecipe(StrictTable):
    """The values that every run has; a task's own recipe adds data and space, and `choices` of its own."""

    choices: ClassVar[Choices] = {}

    task: str
    dataset: str = ""
    seed: int = Field(default=0, ge=0)
    strategy: StrategyRecipe = StrategyRecipe()
    search: TrainingModel = TrainingModel()
    train: TrainingModel = TrainingModel()

    _source: RecipeSource = PrivateAttr(default_factory=lambda: RecipeSource("the recipe", {}))

    @property
    def origin(self) -> str:
        """Where the recipe comes from, for messages."""
        return self._source.origin

    def problem(self, key: str, text: str) -> str:
        """Return a problem with `key` as one line of a message: place, key with its value, text.

        Args:
            key: Dotted key of the value.
            text: What is wrong with it.
        """
        value = self.value(key)
        where = place(self._source.places, key)
        if isinstance(value, BaseModel):
            return f"{where}{key}: {text}"
        shown = toml_literal(value)
        return f"{where}{key} = {shown if len(shown) <= 60 else shown[:57] + '...'}: {text}"

    def value(self, key: str) -> Any:
        """Return the value of a dotted key."""
        value: Any = self
        for part in key.split("."):
            value = value[part] if isinstance(value, dict) else getattr(value, part)
        return value

    def has(self, key: str) -> bool:
        """Return whether there is a value of a dotted key, and it is not None."""
        try:
            return self.value(key) is not None
        except (AttributeError, KeyError):
            return False

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Return the recipe with other values.

        Args:
            values: By dotted key of a table's value; they fit.
        """
        made = self
        for key, value in values.items():
            made = _with(made, key.split("."), value)
        return made

    def resolved(self) -> dict[str, Any]:
        """Return every value as plain data, as a run writes it down."""
        return self.model_dump()

    def was_set(self, key: str) -> bool:
        """Return whether the caller set a value (`--set`, `settings=`) over what the recipe states."""
        return self._source.places.get(key, "").startswith(("--set", "settings"))

    def given(self) -> list[str]:
        """Return the keys of the values that the caller set (`was_set`)."""
        return [key for key in self._source.places if self.was_set(key)]

    def refuse(self, problems: Sequence[str]) -> None:
        """Raise `RecipeError` with all problems; nothing when there is none."""
        if problems:
            raise build_errors(self.origin, problems)

    def build_problems(self, steps: Mapping[str, Callable[[], object]]) -> list[str]:
        """Make what the recipe says, and return the problems: `steps` maps keys of the recipe to what they make."""
        own = (
            self.strategy.name in STRATEGIES or (not self.strategy.forgotten and ":" in self.strategy.name)
        ) and self.strategy.settings
        problems = []
        for key, step in {"strategy.settings" if own else "strategy.name": self.make_strategy, **steps}.items():
            try:
                step()
            except NaspError as error:
                about = str(error).partition(" ")[0]  # a space's error begins with the setting it is about
                table = key.partition(".")[0]
                at = f"{table}.{about}" if hasattr(getattr(self, table), about) and table != "strategy" else key
                problems.append(self.problem(at, str(error)))
        return problems

    def misplaced_settings(self) -> list[str]:
        """Return the problems of settings that belong to the final training, but are given for the search."""
        keys = [
            key for key in ("keep_best", "compile", "average_after") if getattr(self.search, key) not in (False, None)
        ]
        return [self.problem(f"search.{key}", f"belongs to the final training; set train.{key}") for key in keys]

    def training(self, which: Literal["search", "train"]) -> Training:
        """Return the schedule of the search or of the final training."""
        values = getattr(self, which).model_dump()
        return Training(**values | {"optimiser": Optimiser(**values["optimiser"])})

    def make_strategy(self) -> Strategy | TrialStrategy:
        """Return the strategy; raises `StrategyError` for an unknown name or setting, or parts that do not fit."""
        return self.strategy.make()


def _with(table: Any, path: list[str], value: Any) -> Any:
    inner = value if len(path) == 1 else _with(getattr(table, path[0]), path[1:], value)
    return table.model_copy(update={path[0]: inner})


def build_errors(origin: str, problems: Sequence[str]) -> RecipeError:
    """Return the error that lists the problems of a recipe."""
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return RecipeError(f"{origin} has {count}\n" + "\n".join(f"  {problem}" for problem in problems))


def place(places: Mapping[str, str], key: str) -> str:
    """Return where a key stands, or the nearest table above it: "line 3  "; nothing for a key that has no place."""
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        above = ".".join(parts[:length])
        for known in places:
            if known == above or known.startswith(above + "."):
                return places[known] + "  "
    return ""

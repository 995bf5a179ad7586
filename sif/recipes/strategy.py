"""The strategy of a recipe: a name of the table with settings, or an object from outside by import path and fields."""

from collections.abc import Mapping
from enum import Enum
from types import NoneType
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from nasp_core.errors import StrategyError
from nasp_core.methods.table import STRATEGIES, checked_strategy, known_settings, make_strategy
from nasp_core.strategy import Strategy
from nasp_core.trials import TrialStrategy
from sif.errors import RecipeError
from sif.extend import OBJECT, from_plain, reference, resolve, to_plain
from sif.recipes.closed import StrictTable
from sif.toml import toml_literal

__all__ = ["StrategyRecipe", "named_strategy"]

AnyStrategy = Strategy | TrialStrategy
_IN_MEMORY = "in-memory:"


def _says_its_object(value: dict[str, Any]) -> dict[str, Any]:
    if OBJECT not in value:
        raise ValueError(f"no {OBJECT}")
    return value


def _none_as_text(value: Any) -> Any:
    """Return the value with "none" for None, as a recipe file has it."""
    if isinstance(value, Mapping):
        return {key: _none_as_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_none_as_text(item) for item in value]
    return "none" if value is None else value


_Setting = (
    bool
    | int
    | float
    | str
    | list[float]
    | list[int]
    | list[Any]
    | Annotated[dict[str, Any], AfterValidator(_says_its_object)]
)


class StrategyRecipe(StrictTable):
    """Which strategy searches, with its settings by name.

    `name` is in the table of strategies, an entry point of `sif.strategies`, or `package.module:object`: a function or
    class that makes a strategy of the settings, or a strategy itself.
    """

    name: str = "nasp-ranked"
    settings: Annotated[dict[str, _Setting], BeforeValidator(_none_as_text)] = Field(default_factory=dict)

    _made: Any = PrivateAttr(default=None)  # an object that no import finds again: it lives as long as the recipe

    def make(self) -> AnyStrategy:
        """Return the strategy; raises `StrategyError` for an unknown name or setting, or parts that do not fit."""
        if self._made is not None:
            return checked_strategy(self.name, self._made)
        if self.forgotten:
            raise StrategyError(
                f"{self.name.removeprefix(_IN_MEMORY)!r} was an object in memory, which no import finds again; put it "
                "into a module and name it: --strategy package.module:object"
            )
        return make_strategy(self.name, **self._arguments())

    def describe(self) -> dict[str, Any]:
        """Return what `result.json` says of the strategy: its name or import path, its settings, and its parts."""
        return {"name": self.name, "settings": self.settings, "parts": self.make().describe()}

    @property
    def forgotten(self) -> bool:
        """Whether it was an object of another process, which no import finds again."""
        return self.name.startswith(_IN_MEMORY) and self._made is None

    def _arguments(self) -> dict[str, Any]:
        """Return the settings by their names of today, each checked by its type hint."""
        maker = resolve("strategy", self.name, STRATEGIES, StrategyError)
        hints, arguments = _hints(maker), dict[str, Any]()
        for key, value in known_settings(self.name, maker, self.settings).items():
            if key in _NOT_SETTINGS and self.name in STRATEGIES:
                raise StrategyError(f"{key} is no setting of a recipe's strategy")
            kind = hints.get(key, Any)
            arguments[key] = None if value == "none" and NoneType in get_args(kind) else from_plain(value)
            if isinstance(value, bool | int | float | str | list):
                _check_setting(key, value, arguments[key], kind)
        return arguments


def _hints(maker: Any) -> dict[str, Any]:
    try:
        return get_type_hints(maker)
    except (NameError, TypeError):  # of a stranger's code, whose hints need not be there at run time
        return {}


def _check_setting(key: str, shown: Any, value: Any, kind: Any) -> None:
    try:
        TypeAdapter(kind).validate_python(value)
    except PydanticSchemaGenerationError:  # a class of a stranger, which checks its values itself
        return
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise StrategyError(f"{key} = {toml_literal(shown)}: {message[:1].lower()}{message[1:]}") from None


def named_strategy(given: Any) -> tuple[str, dict[str, Any], AnyStrategy | None]:
    """Return how a recipe names a strategy: name, settings, and the object itself where no import finds it again.

    `given` is a name, a strategy, or a function or class that makes one. Raises `RecipeError` for anything else.
    """
    given = given.value if isinstance(given, Enum) else given
    if isinstance(given, str):
        return str(given), {}, None
    if callable(given) and not isinstance(given, Strategy):
        table = {id(maker): name for name, maker in STRATEGIES.items()}
        if name := table.get(id(given)) or reference(given):
            return name, {}, None
        given = given()
    try:
        made = checked_strategy("strategy", given)
    except StrategyError as error:
        raise RecipeError(f"{error}; or give the name of one") from None
    try:
        settings = to_plain(made)
        name = settings.pop(OBJECT)
        if from_plain({OBJECT: name, **settings}) == made:
            return name, settings, None
    except (TypeError, RecipeError):
        pass
    return f"{_IN_MEMORY}{made.name}", dict(made.describe()), made


_NOT_SETTINGS = ("gradient", "name", "papers")

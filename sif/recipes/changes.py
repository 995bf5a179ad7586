"""Changes of a recipe's values: `key=value` of the command line, read by the key's own type, and values of Python."""

import csv
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from nasp_core.errors import NaspError
from nasp_core.methods import STRATEGIES
from sif.datasets.readers import reader_name
from sif.encodings import encoding_names
from sif.encodings.lookup import name_of
from sif.errors import RecipeError
from sif.extend import resolve, to_plain, with_names
from sif.operations import OPERATIONS, Operation
from sif.plain import plain
from sif.recipes.base import BaseRecipe, build_errors
from sif.recipes.problems import problem_name
from sif.recipes.strategy import named_strategy

__all__ = [
    "IN_MEMORY",
    "Change",
    "changes_of",
    "declared",
    "misread",
    "read_changes",
    "read_value",
    "setting_type",
    "settled",
    "training_changes",
]

_IN_PYTHON = "settings"
_NAMES = ("task", "space.name", "strategy.name")  # they decide which types the other values have
IN_MEMORY = "strategy._made"
"""The key of a strategy that no recipe can write down: an object of this process."""


class Change(NamedTuple):
    """A value that a user gives beside the recipe: `place` says where; `text` is not read yet, as typed."""

    key: str
    value: Any
    place: str
    typed: bool = False


def changes_of(settings: Mapping[str, Any] | None, strategy: Any = None, seed: Any = None) -> list[Change]:
    """Return what a caller in Python changes.

    Args:
        settings: By dotted key or in tables.
        strategy: A name, `package.module:object`, or the object itself.
        seed: Of the recipe.

    Raises:
        RecipeError: Values cannot be a setting; all of them.
    """
    given = {} if settings is None else settings
    if not isinstance(given, Mapping):
        raise RecipeError(f'settings = {given!r}; give a dict by dotted key, such as {{"search.epochs": 5}}')
    changes, problems = [], []
    for key, value in {**given, **({} if seed is None else {"seed": seed})}.items():
        if key == "strategy.name" or (key == "strategy" and not isinstance(value, Mapping)):
            changes += _strategy(value) if strategy is None else []
            continue
        if not isinstance(key, str) or not key.strip():
            problems.append(f"{_IN_PYTHON}  {key!r} is no key; give a text, such as search.epochs")
            continue
        try:
            changes.append(Change(key.strip(), _value(key.strip(), value), _IN_PYTHON))
        except NaspError as error:
            problems.append(f"{_IN_PYTHON}  {key}: {error}")
        except TypeError as error:
            problems.append(
                f"{_IN_PYTHON}  {key} = {error}: this cannot be a setting; give a number, a text, true or false, None, "
                "or a list or dict of them"
            )
    if problems:
        raise build_errors("the call", problems)
    return [*changes, *([] if strategy is None else _strategy(strategy))]


def _operation_name(given: Any) -> str:
    """Return the name of an operation that joins vectors, or of what makes one of a cell (that can be called)."""
    return name_of("operation", given, OPERATIONS, object if callable(given) else Operation)


_NAMED: Mapping[str, Callable[[Any], str]] = {
    "task": problem_name,
    "reader": reader_name,
    "space.operations": _operation_name,
    "space.reduce_operations": _operation_name,
    "space.activations": lambda given: name_of("activation", given, {}, object),
    "space.encodings": lambda given: encoding_names((given,))[0],
}
"""The keys whose values are names of objects, and what names one."""


def _value(key: str, value: Any) -> Any:
    """Return a value of Python as a recipe writes it: plain data, objects by name, parts of strategies by fields."""
    if isinstance(value, Mapping):
        return {str(plain(each)): _value(f"{key}.{plain(each)}", item) for each, item in value.items()}
    of_part = key.startswith("strategy.settings.")
    if not of_part and key not in _NAMED:
        return plain(with_names(value))
    if isinstance(value, list | tuple):
        return [_value(key, item) for item in value]
    try:
        found = None if is_dataclass(value) else plain(value)
    except TypeError:
        found = None
    if found is not None or value is None:
        return found
    return to_plain(value) if of_part else _NAMED[key](value)


def _strategy(given: Any) -> list[Change]:
    name, fields, made = named_strategy(given)
    changes = [Change("strategy.name", name, _IN_PYTHON)]
    changes += [Change(f"strategy.settings.{key}", value, _IN_PYTHON) for key, value in fields.items()]
    return [*changes, *([Change(IN_MEMORY, made, _IN_PYTHON)] if made is not None else [])]


def read_changes(overrides: Sequence[str | Change]) -> list[Change]:
    """Return `key=value` texts as changes whose values are still to be read, but for those that name what is chosen."""
    changes = []
    for override in overrides:
        if isinstance(override, str):
            key, sign, value = override.partition("=")
            if not sign or not key.strip():
                raise RecipeError(f"--set {override} is not key=value; for instance --set search.epochs=5")
            change = Change(key.strip(), value.strip(), f"--set {override}", typed=True)
            if change.key in _NAMES:
                change = change._replace(value=read_value(change.value, str), typed=False)
            changes.append(change)
        else:
            changes.append(override)
    return changes


def training_changes(changes: Sequence[str | Change], refused: Sequence[str] = ()) -> dict[str, Any]:
    """Return the changes of a final training, by key; raises `RecipeError` for those that do not concern one.

    `refused` are keys that have no meaning in this training.
    """
    read, problems = list(settled(read_changes(changes), BaseRecipe)), []
    for change in read:
        if change.key == "seed":
            problems.append(f"{change.place}  give --seed {change.value} instead")
        elif change.key.partition(".")[0] != "train" or change.key in refused:
            problems.append(
                f"{change.place}  {change.key} does not concern this training; change train.KEY alone, or search again"
            )
    if problems:
        raise build_errors("the training", problems)
    return {change.key: change.value for change in read}


def settled(changes: Sequence[Change], kind: type[BaseModel] | None, strategy: str = "") -> Iterator[Change]:
    """Yield the changes with every value read by the type that a recipe of this kind has for the key.

    A value for a whole table becomes one change for each key in it, so that the table's other values stay. `strategy`
    is the recipe's own, whose settings have types too.
    """
    names = [strategy, *(str(change.value) for change in changes if change.key == "strategy.name")]
    for change in changes:
        hint = declared(kind, change.key, names[-1])
        value = read_value(change.value, hint) if change.typed else change.value
        yield from _flat(change._replace(value=value, typed=False), kind)


def _flat(change: Change, kind: type[BaseModel] | None) -> Iterator[Change]:
    if not isinstance(change.value, Mapping) or not _is_table(declared(kind, change.key)):
        yield change
        return
    for key, value in change.value.items():
        yield from _flat(change._replace(key=f"{change.key}.{key}", value=value), kind)


def _is_table(hint: Any) -> bool:
    return (isinstance(hint, type) and issubclass(hint, BaseModel)) or get_origin(hint) is dict


def declared(kind: type[BaseModel] | None, key: str, strategy: str = "") -> Any:
    """Return the type that a recipe has for a dotted key; None where it has no such key."""
    parts = key.split(".")
    if parts[0] == "budgets":
        if len(parts) < 3:
            return dict[str, Any]
        parts = parts[2:]
    hint: Any = kind
    for part in parts:
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            field = hint.model_fields.get(part)
            hint = None if field is None else field.annotation
        else:
            hint = get_args(hint)[1] if get_origin(hint) is dict else None
    if parts[:2] == ["strategy", "settings"] and len(parts) == 3:
        hint = setting_type(strategy, parts[2]) or hint
    return hint


def setting_type(strategy: str, setting: str) -> Any:
    """Return the type of a setting of a named strategy; None where it is not known."""
    try:
        return get_type_hints(resolve("strategy", strategy, STRATEGIES)).get(setting)
    except (NaspError, NameError, TypeError):
        return None


def _options(hint: Any) -> list[Any]:
    """Return the types that a value may have; texts of a `Literal` count as str, None is left out."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _options(get_args(hint)[0])
    if origin in (Union, UnionType):
        return [option for each in get_args(hint) if each is not NoneType for option in _options(each)]
    if origin is Literal:
        return [type(value) for value in get_args(hint)]
    return [hint]


def _is_text(hint: Any) -> bool:
    return bool(options := _options(hint)) and all(option is str for option in options)


def read_value(text: str, hint: Any) -> Any:
    """Return a value as typed on the command line: TOML, but a key whose value is text takes the text as it stands."""
    try:
        table = tomllib.loads(f"v = {text}")
        value = table["v"] if len(table) == 1 else text
    except tomllib.TOMLDecodeError:
        value = text
    if _is_text(hint):
        return value if isinstance(value, str) else text
    lists = [option for option in _options(hint) if get_origin(option) in (tuple, list)]
    if lists and len(lists) == len(_options(hint)) and _is_text(get_args(lists[0])[0]):
        all_text = isinstance(value, list) and all(isinstance(item, str) for item in value)
        if not all_text and text.startswith("[") and text.endswith("]"):  # a shell has taken the quotes away
            row = next(csv.reader([text[1:-1]], skipinitialspace=True), [])
            return [item.strip().strip("'") for item in row if item.strip()]
    return value


def misread(data: Mapping[str, Any], kind: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the keys whose value is true or false where a number belongs: pydantic takes them for 1 and 0."""
    for key, value in data.items():
        at = (*path, key)
        if at[0] == "budgets" or at[:2] == ("strategy", "settings"):
            continue
        if isinstance(value, Mapping):
            yield from misread(value, kind, at)
            continue
        options = _options(declared(kind, ".".join(at)))
        inner = [each for option in options for arg in get_args(option) for each in _options(arg)]
        held = value if isinstance(value, list | tuple) else [value]
        wanted = {*options, *inner}
        if any(isinstance(item, bool) for item in held) and wanted & {int, float} and bool not in wanted:
            yield ".".join(at), value

"""Values that hang on a choice: which of them another strategy, loss, optimiser, split or space has no use for."""

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from sif.recipes.base import BaseRecipe, Choices
from sif.recipes.changes import Change

__all__ = ["drop_unused", "unused"]

_OPTIMISER: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "kind": {"momentum": ("sgd",), "betas": ("adam",)},
    "schedule": {"final_learning_rate": ("cosine", "linear")},
}
_CHOICES: Choices = {
    "strategy.name": {"strategy.settings": ()},
    "split.kind": {"split.fractions": ("random", "user", "temporal")},
    **{
        f"{table}.optimiser.{key}": {f"{table}.optimiser.{name}": used for name, used in uses.items()}
        for table in ("search", "train")
        for key, uses in _OPTIMISER.items()
    },
}
"""What every recipe may have; a task's own stand with its class."""
_OF_ONE_SPACE = ("hidden", "operations")
"""Settings that several spaces have by one name, each with a meaning of its own."""


def drop_unused(
    data: MutableMapping[str, Any], changes: Sequence[Change], kind: type[BaseRecipe] | None, other: bool
) -> None:
    """Take out of a recipe's own data (its budgets included) what a choice that the user changes has no use for.

    What the user gives beside is not in `data` yet, and stays; where it has no use either, `unused` tells. `kind` is
    the class of the recipe, None where it names no task or space there is; `other` tells whether the changes gave it.
    """
    choices = {**(kind.choices if kind else {}), **_CHOICES}
    budgets = data.get("budgets")
    tables = [data, *(budgets.values() if isinstance(budgets, Mapping) else ())]
    for table in (table for table in tables if isinstance(table, MutableMapping)):
        for change in (change for change in changes if change.value != _at(data, change.key)):
            for key, uses in choices.get(change.key, {}).items():
                if change.value not in uses:
                    _remove(table, key)
        if kind is not None and other:
            _keep_known(table, kind)


def unused(recipe: BaseRecipe, changed: Sequence[str]) -> Iterator[str]:
    """Yield the problems of values that the recipe's choices have no use for; a default counts as not given.

    `changed` are the keys that the user gave beside the recipe.
    """
    for choice, uses in {**recipe.choices, **_CHOICES}.items():
        chosen = _at(recipe, choice)
        for key, values in uses.items():
            lenient = key == "split.fractions" and key not in changed  # older runs wrote them down, unused
            if values and chosen is not None and chosen not in values and not lenient:
                table, _, name = key.rpartition(".")
                if _at(recipe, key) != type(_at(recipe, table)).model_fields[name].default:
                    instead = " or ".join(f"{choice}={value}" for value in values)
                    yield recipe.problem(key, f"{choice} = {chosen} has no use for it; leave it out, or use {instead}")


def _at(data: Any, key: str) -> Any:
    """Return the value at a dotted key of plain data or of a recipe; None where there is none."""
    for part in key.split("."):
        data = data.get(part) if isinstance(data, Mapping) else getattr(data, part, None)
    return data


def _remove(data: Any, key: str) -> None:
    *tables, last = key.split(".")
    for part in tables:
        data = data.get(part) if isinstance(data, Mapping) else None
    if isinstance(data, MutableMapping):
        data.pop(last, None)


def _keep_known(data: MutableMapping[str, Any], kind: type[BaseModel]) -> None:
    """Take out what recipes of another class do not know, or hold values of another type for, in the space's table."""
    fields = kind.model_fields
    for key in [key for key in data if key not in fields and key not in ("task", "budgets")]:
        del data[key]
    space = fields["space"].annotation
    table = data.get("space")
    if isinstance(table, MutableMapping) and isinstance(space, type) and issubclass(space, BaseModel):
        for key in [key for key in table if key != "name" and not _fits(space, key, table[key])]:
            del table[key]


def _fits(model: type[BaseModel], key: str, value: Any) -> bool:
    field = model.model_fields.get(key)
    if field is None or key in _OF_ONE_SPACE:
        return False
    try:
        TypeAdapter[Any](field.annotation or Any).validate_python(None if value == "none" else value)
    except ValidationError:
        return False
    return True

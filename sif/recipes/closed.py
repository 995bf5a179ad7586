"""Closed, typed tables of a recipe, made from the core's frozen dataclasses where those hold the values."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

__all__ = ["Count", "Share", "Size", "StrictTable", "model_of"]


_CLOSED = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StrictTable(BaseModel):
    """A table of a recipe; TOML has no null, so `"none"` stands for it where a value may be missing."""

    model_config = _CLOSED

    @model_validator(mode="before")
    @classmethod
    def _none_of_text(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        optional = {name for name, field in cls.model_fields.items() if NoneType in get_args(field.annotation)}
        return {key: None if value == "none" and key in optional else value for key, value in data.items()}


Share = Annotated[float, Field(ge=0, lt=1)]
Size = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
_BOUNDS: Mapping[str, Any] = {
    "learning_rate": Annotated[float, Field(gt=0)],
    "final_learning_rate": Size,
    "momentum": Share,
    "betas": tuple[Share, Share],
    "weight_decay": Size,
    "clip": Annotated[float, Field(gt=0)] | None,
    "epochs": Count,
    "batch_size": Count,
    "evaluate_every": Annotated[int, Field(ge=0)],
    "min_steps": Annotated[int, Field(ge=0)],
    "patience": Count | None,
    "embedding_dim": Count,
    "hidden": Annotated[int, Field(ge=0)],
    "max_norm": Annotated[float, Field(gt=0)] | None,
    "init_std": Size,
    "l2": Size,
    "bias_l2": Size,
    "l2_frequency": Size,
    "average_after": Count | None,
    "channels": Count,
    "layers": Count,
    "nodes": Count,
    "steps": Count,
    "cells": Count,
    "stem_multiplier": Count,
    "auxiliary": Size,
    "drop_path": Share,
}
"""What the values of the core's dataclasses may be, so that a recipe's line is named before anything runs."""


def model_of(cls: type, *, leave_out: tuple[str, ...] = (), **overrides: Any) -> type[BaseModel]:
    """Return a closed pydantic model with the fields, types, bounds and defaults of a frozen dataclass.

    `leave_out` names fields that no recipe writes, since the data decide them.
    """
    hints = get_type_hints(cls)
    members: dict[str, Any] = {}
    for field in (field for field in fields(cls) if field.name not in leave_out):
        hint = overrides.get(field.name) or _BOUNDS.get(field.name, hints[field.name])
        default = field.default if field.default is not MISSING else ...
        if is_dataclass(default):
            default = Field(default_factory=hint)
        members[field.name] = (hint, default)
    name = "_without_".join((cls.__name__, *leave_out))
    made: type[BaseModel] = create_model(name, __base__=StrictTable, __module__=__name__, **members)
    globals()[name] = made  # where pickle looks a class up, and so finds that of every recipe
    return made

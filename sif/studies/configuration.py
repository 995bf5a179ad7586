"""A configuration: an architecture with the settings it is trained under."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Configuration"]


@dataclass(frozen=True)
class Configuration:
    """What a trial trains.

    Attributes:
        choices: Of the space, by name: group -> one candidate a choice.
        settings: Dotted keys of the recipe with their values, instead of the recipe's own.
        by: Who proposed it.
    """

    choices: Mapping[str, tuple[str, ...]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    by: str = field(default="", compare=False)

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        choices = {group: list(names) for group, names in self.choices.items()}
        return {"choices": choices, "settings": dict(self.settings), "by": self.by}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Configuration":
        """Return what `plain` wrote down."""
        choices = {group: tuple(names) for group, names in plain["choices"].items()}
        return cls(choices, dict(plain["settings"]), plain.get("by", ""))

    @property
    def key(self) -> str:
        """One text for what is trained, whoever proposed it."""
        told = self.plain()
        return json.dumps([told["choices"], told["settings"]], sort_keys=True)

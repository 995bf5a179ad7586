"""The found architecture as plain data: JSON in, JSON out, versioned, readable by a person."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nasp_core.errors import GenotypeError

__all__ = ["Genotype"]

_FIELDS = ("space", "version", "choices", "settings", "parameters")


@dataclass(frozen=True)
class Genotype:
    """One point of a space.

    - `space`, `version`: which space it belongs to, and the version of that space's meaning.
    - `choices`: per group the picked candidate of each choice by name; None where a choice is dropped.
    - `settings`: the space's own settings (operations offered, embedding size), plain JSON values.
    - `parameters`: continuous architecture parameters (nested lists of floats), such as SIF's
      element-wise networks; empty where they were not learned yet.
    """

    space: str
    version: int
    choices: Mapping[str, tuple[str | None, ...]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def key(self) -> str:
        """Return the choices as one short text, the same for equal choices: `operation=multiply`."""
        parts = (f"{group}={','.join(name or '-' for name in names)}" for group, names in self.choices.items())
        return " ".join(parts)

    def to_json(self) -> str:
        """Return the genotype as indented JSON text."""
        return json.dumps({name: getattr(self, name) for name in _FIELDS}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Genotype":
        """Read what `to_json` wrote; raises `GenotypeError` with the reason when the text is something else."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise GenotypeError(f"not a genotype: line {error.lineno} is not JSON ({error.msg})") from None
        missing = [name for name in _FIELDS if not isinstance(data, dict) or name not in data]
        if missing:
            raise GenotypeError(f"not a genotype: it lacks {', '.join(missing)}; a genotype has {', '.join(_FIELDS)}")
        choices, tables = data["choices"], (data["settings"], data["parameters"])
        good = isinstance(choices, dict) and all(isinstance(table, dict) for table in tables)
        if not good or not all(isinstance(names, list) for names in choices.values()):
            raise GenotypeError(
                "not a genotype: choices must be a table of lists of names, settings and parameters must be tables"
            )
        choices = {group: tuple(names) for group, names in choices.items()}
        return cls(data["space"], data["version"], choices, data["settings"], data["parameters"])

"""The comparison of a find with its baselines, as rows of text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["COLUMNS", "ComparisonRow", "comparison", "verdicts"]

COLUMNS = ("valid RMSE (std)", "test RMSE (std)", "test RMSE", "test MAE", "parameters", "seconds")


@dataclass(frozen=True)
class ComparisonRow:
    """One model: its name, one text for each of `COLUMNS`, and whether it is the find."""

    name: str
    cells: tuple[str, ...]
    found: bool


def comparison(result: Mapping[str, Any]) -> list[ComparisonRow]:
    """Return the find and its baselines, best validation first."""
    (operation,) = result["genotype"]["choices"]["operation"]
    entries: list[tuple[str, Mapping[str, Any], bool]] = [
        (
            f"found: {operation}",
            result["metrics"]
            | {"parameters": result["parameters"], "seconds": result["seconds"]["search"] + result["seconds"]["train"]},
            True,
        )
    ]
    entries += [(name, row, False) for name, row in result["baselines"].items()]
    entries.sort(key=lambda entry: ((entry[1]["valid"] or {}).get("rmse_standardised", -math.inf), not entry[2]))
    return [ComparisonRow(name, _cells(row), found) for name, row, found in entries]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    valid, test = row["valid"] or {}, row["test"] or {}  # a model trained on every rating has neither
    figures = (
        valid.get("rmse_standardised"),
        test.get("rmse_standardised"),
        test.get("rmse"),
        test.get("mae"),
    )
    texts = ["-" if figure is None else f"{figure:.4f}" for figure in figures]
    return (*texts, f"{row['parameters']:,}", f"{row['seconds']:.1f}")


def verdicts(result: Mapping[str, Any]) -> list[str]:
    """Return what a reader should not miss: a baseline that does better on validation, a training cut short."""
    sentences = []
    valid = result["metrics"]["valid"]
    if valid is not None:
        found = valid["rmse_standardised"]
        name, best = min(
            ((name, row["valid"]["rmse_standardised"]) for name, row in result["baselines"].items()),
            key=lambda entry: entry[1],
            default=("", found),
        )
        if best < found - 0.001:
            sentences.append(f"{name} does better than the find, by {found - best:.4f} on validation")
    if result["epochs"]["best"] == result["epochs"]["most"]:
        sentences.append(f"the best epoch was the last ({result['epochs']['best']}): more may help, raise train.epochs")
    if (result.get("retrained") or {}).get("all_data"):
        sentences.append("the model has since been trained on every rating")
    return sentences

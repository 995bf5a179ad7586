"""The comparison of a find with its baselines, as rows of text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Column", "ComparisonRow", "columns", "comparison", "headings", "verdicts"]

_CLOSE = {"rating": 0.001, "ranking": 0.002}
"""By how much a baseline must lead on validation to be worth a word."""


@dataclass(frozen=True)
class Column:
    """One figure of a row: its heading, and the part and the metric that it shows."""

    heading: str
    part: str
    metric: str


@dataclass(frozen=True)
class ComparisonRow:
    """One model: its name, one text for each column, and whether it is the find."""

    name: str
    cells: tuple[str, ...]
    found: bool


def columns(result: Mapping[str, Any]) -> tuple[Column, ...]:
    """Return the columns of a result's task, the metric that selects first."""
    metric = result["metric"]
    if result["task"] == "rating":
        return (
            Column("valid RMSE (std)", "valid", metric),
            Column("test RMSE (std)", "test", metric),
            Column("test RMSE", "test", "rmse"),
            Column("test MAE", "test", "mae"),
        )
    k = metric.partition("@")[2]
    more = (f"{name}@{k}" for name in ("ndcg", "recall", "hit_rate", "mrr", "coverage"))
    named = [metric, *(name for name in more if name != metric)]
    return (Column(f"valid {metric}", "valid", metric), *(Column(f"test {name}", "test", name) for name in named))


def headings(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the headings of the columns beside the name."""
    return (*(column.heading for column in columns(result)), "parameters", "seconds")


def comparison(result: Mapping[str, Any]) -> list[ComparisonRow]:
    """Return the find and its baselines, best validation first."""
    operations = " + ".join(result["genotype"]["choices"]["operation"])
    entries: list[tuple[str, Mapping[str, Any], bool]] = [
        (
            f"found: {operations}",
            result["metrics"]
            | {"parameters": result["parameters"], "seconds": result["seconds"]["search"] + result["seconds"]["train"]},
            True,
        )
    ]
    entries += [(name, row, False) for name, row in result["baselines"].items()]
    sign = -1.0 if result["maximise"] else 1.0

    def place(entry: tuple[str, Mapping[str, Any], bool]) -> tuple[float, bool]:
        figure = (entry[1]["valid"] or {}).get(result["metric"])
        return -math.inf if figure is None else sign * figure, not entry[2]

    return [ComparisonRow(name, _cells(row, result), found) for name, row, found in sorted(entries, key=place)]


def _cells(row: Mapping[str, Any], result: Mapping[str, Any]) -> tuple[str, ...]:
    # a model trained on everything has neither part
    figures = [(row[column.part] or {}).get(column.metric) for column in columns(result)]
    texts = ["-" if figure is None else f"{figure:.4f}" for figure in figures]
    return (*texts, f"{row['parameters']:,}", f"{row['seconds']:.1f}")


def verdicts(result: Mapping[str, Any]) -> list[str]:
    """Return what a reader should not miss: a baseline that does better on validation, a training cut short."""
    sentences = []
    valid, metric, sign = result["metrics"]["valid"], result["metric"], -1.0 if result["maximise"] else 1.0
    if valid is not None:
        found = valid[metric]
        rivals = ((name, row["valid"][metric]) for name, row in result["baselines"].items())
        name, best = min(rivals, key=lambda entry: sign * entry[1], default=("", found))
        if sign * (found - best) > _CLOSE[result["task"]]:
            sentences.append(f"{name} does better than the find, by {abs(found - best):.4f} on validation")
    if result["epochs"]["best"] == result["epochs"]["most"]:
        sentences.append(f"the best epoch was the last ({result['epochs']['best']}): more may help, raise train.epochs")
    if (result.get("retrained") or {}).get("all_data"):
        what = "rating" if result["task"] == "rating" else "interaction"
        sentences.append(f"the model has since been trained on every {what}")
    return sentences

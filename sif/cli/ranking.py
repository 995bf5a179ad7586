"""What the command line says of rankings."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from sif.cli.app import console, errors
from sif.metrics import METRICS

__all__ = ["note_additive", "print_ranking"]


def note_additive() -> None:
    """Say that the found function gives everyone one ranking."""
    errors.print(
        "note: the found function is additive, f(user) + g(item): it ranks the items alike for every user",
        markup=False,
    )


def print_ranking(ranked: dict[str, Any]) -> None:
    """Print what `rank_run` returned: for each part and k the model beside popularity."""
    table = Table("part", "k", "ranked by", *METRICS)
    for column in table.columns[3:]:
        column.justify = "right"
    for part, told in ranked["parts"].items():
        if told is None:
            continue
        for k in ranked["k"]:
            for name in ("model", "popularity"):
                values = (f"{told[name][f'{metric}@{k}']:.4f}" for metric in METRICS)
                table.add_row(part, str(k), name, *values, style="bold green" if name == "model" else None)
    console.print(table)
    bar = ranked["threshold"]
    what = "every rating is relevant" if bar is None else f"ratings of {bar:g} and above are relevant"
    users = ", ".join(f"{part} {told['users']}" for part, told in ranked["parts"].items() if told is not None)
    console.print(f"full catalogue of {ranked['items']} items, {what}; users {users}", markup=False)
    if ranked["additive"]:
        note_additive()
    for part, k in [(part, k) for part, told in ranked["parts"].items() if told is not None for k in ranked["k"]]:
        model, popularity = (ranked["parts"][part][name][f"ndcg@{k}"] for name in ("model", "popularity"))
        if model <= popularity:
            errors.print(
                f"note: on {part}, popularity ranks no worse: ndcg@{k} {popularity:.4f}, the model {model:.4f}"
                + ("; it was trained to predict ratings, not to rank" if ranked["task"] == "rating" else ""),
                markup=False,
            )

"""What the command line says of rankings."""

from pathlib import Path
from typing import Any

from sif.cli.app import console, note
from sif.cli.tables import print_table
from sif.metrics import METRICS
from sif.problems import problem
from sif.run_directory import RunDirectory
from sif.sheet import Line, Table

__all__ = ["note_additive", "note_two", "print_ranking"]


def note_additive() -> None:
    """Say that everyone gets one ranking."""
    note("the model is additive, f(user) + g(item): it ranks the items alike for every user")


def note_two(run: Path, text: str) -> None:
    """Say what a verb does where a run has two models: one that predicts ratings, and in `lists` one that orders.

    Args:
        run: The run directory.
        text: With places for `run` and `lists`, its paths.
    """
    lists = RunDirectory.open(run, needs="result.json").lists().path
    if lists != run:
        note(text.format(run=run, lists=lists))


def print_ranking(ranked: dict[str, Any]) -> None:
    """Print what `rank_run` returned: for each part and k the model beside popularity, and first where that wins."""
    for part, k in [(part, k) for part, told in ranked["parts"].items() if told is not None for k in ranked["k"]]:
        model, popularity = (ranked["parts"][part][name][f"ndcg@{k}"] for name in ("model", "popularity"))
        if model <= popularity:
            note(
                f"on {part}, popularity ranks no worse: ndcg@{k} {popularity:.4f}, the model {model:.4f}"
                + ("; it was trained to predict ratings, not to rank" if not problem(ranked["task"]).ranks else "")
            )
    lines = []
    for part, told in ranked["parts"].items():
        if told is None:
            continue
        for k in ranked["k"]:
            for name in ("model", "popularity"):
                values = (f"{told[name][f'{metric}@{k}']:.4f}" for metric in METRICS)
                lines.append(Line((part, str(k), name, *values), best=name == "model"))
    print_table(Table(("part", "k", "ranked by", *METRICS), tuple(lines), text=(0, 1, 2)))
    bar = ranked["threshold"]
    what = "every rating is relevant" if bar is None else f"ratings of {bar:g} and above are relevant"
    users = ", ".join(f"{part} {told['users']}" for part, told in ranked["parts"].items() if told is not None)
    console.print(f"full catalogue of {ranked['items']} items, {what}; users {users}")
    if ranked["additive"]:
        note_additive()

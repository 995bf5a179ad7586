"""`sif recommend`: the best items of a user, or the lists of all users as a file."""

import time
from pathlib import Path
from typing import Annotated

import typer

from sif.api import load
from sif.cli.app import JsonOption, console, emit, guarded, note
from sif.cli.ranking import note_additive
from sif.cli.tables import print_table
from sif.errors import RunError
from sif.run import Run
from sif.serve.lists import write_lists
from sif.sheet import Line, Table

__all__ = ["recommend"]


@guarded
def recommend(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    user: Annotated[str | None, typer.Option(help="The user's id, as in the data.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many items.")] = 10,
    everyone: Annotated[bool, typer.Option("--all", help="The lists of all users, into the file --out.")] = False,
    out: Annotated[Path | None, typer.Option(help="With --all: the file, .csv, .jsonl or .parquet.")] = None,
    force: Annotated[bool, typer.Option("--force", help="With --all: replace the file if it is there.")] = False,
    context: Annotated[str, typer.Option(help="The context (runs with a context mode; default: the last).")] = "",
    known: Annotated[bool, typer.Option("--known", help="Leave out items without any training interaction.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Recommend items that the user does not have yet, best first; with --all for every user."""
    if everyone == (user is not None):
        raise RunError("give one of --user ID and --all --out FILE")
    opened = load(run)
    if not isinstance(opened, Run):
        raise RunError(f"run {run} is of cells, and only runs of tables recommend items")
    if user is not None:
        if out is not None or force:
            raise RunError(f"{'--out' if out is not None else '--force'} goes with --all; leave it out, or --user")
        _one(opened, user, k, context, known, as_json)
        return
    if out is None:
        raise RunError("--all needs a file: --out lists.csv, lists.jsonl or lists.parquet")
    began = time.perf_counter()
    rows = write_lists(opened.lists(k, context=context or None, cold_items=not known), out, force=force)
    users, seconds = opened.result["dataset"]["users"], time.perf_counter() - began
    if as_json:
        emit({"out": str(out), "users": users, "rows": rows, "seconds": seconds})
        return
    console.print(f"lists   {out}: {rows} rows for {users} users in {seconds:.1f} s")
    if rows < users * k:
        note(f"where fewer than {k} items are left, a user has fewer rows")
    if opened.additive:
        note_additive()


def _one(opened: Run, user: str, k: int, context: str, known: bool, as_json: bool) -> None:
    items = opened.recommend(user, k, context=context or None, cold_items=not known)
    if as_json:
        emit({"user": user, "items": items})
        return
    titles = any(item["title"] for item in items)
    rated = any("rating" in item for item in items)
    columns = ("", "item", "score", *(["rating"] if rated else []), *(["title"] if titles else []))
    rows = []
    for rank, item in enumerate(items, 1):
        more = [f"{item['rating']:.2f}"] if rated else []
        more += [item["title"] or ""] if titles else []
        rows.append(Line((str(rank), str(item["item"]), f"{item['score']:.3f}", *more)))
    print_table(Table(columns, tuple(rows)))
    if cold := sum(item["cold"] for item in items):
        note(f"{cold} of these had no interaction in training; --known leaves such items out")
    if len(items) < k:
        note(f"only {len(items)} items are left that user {user} does not have")
    if opened.additive:
        note_additive()

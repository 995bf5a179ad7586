"""The comparison of what was found on a table with its rivals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

from sif.results import FOUND
from sif.sheet import Line, Sheet, Table

__all__ = ["SheetColumn", "table_sheet"]


class SheetColumn(NamedTuple):
    """One figure of a row: its heading, and the part and the metric that it shows."""

    heading: str
    part: str
    metric: str


class Shown(Protocol):
    """What a problem says of its results (`sif.problems.table_problem.TableProblem`)."""

    what: ClassVar[str]
    explained: ClassVar[str]
    close: ClassVar[float]

    def columns(self, result: Mapping[str, Any]) -> tuple[SheetColumn, ...]:
        """Return the figures of a row, first the one that selects."""
        ...


def table_sheet(problem: Shown, result: Mapping[str, Any]) -> Sheet:
    """Return a result as people read it."""
    dataset, seconds, split = result["dataset"], result["seconds"], result["split"]
    columns = problem.columns(result)
    regret = "not measured" if result["regret"] is None else f"{result['regret']:.4f}"
    metric = columns[0].heading.removeprefix("valid ")
    return Sheet(
        title=f"{dataset['name']}: {_handed(result)}",
        facts=(
            f"{dataset['name']}: {dataset['users']:,} users, {dataset['items']:,} items, "
            f"{dataset['interactions']:,} {problem.what}; split {split['kind']} {result['fingerprint']}, "
            f"seed {result['seed']}"
        ),
        found=f"score = {_handed(result)}",
        table=_table(columns, result),
        explained=f"{problem.explained} Models were chosen on validation; the test part was read once for each row.",
        remarks=tuple(_remarks(problem.close, result)),
        cost=(
            f"regret against enumeration {regret} ({metric}, validation)   "
            f"search {seconds['search']:.1f} s, training {seconds['train']:.1f} s, rivals {seconds['rivals']:.1f} s, "
            f"peak memory {result['peak_memory_mb']:.0f} MiB"
        ),
        next="sif recommend {run} --user ID -k 10",
        notes=(*dataset["notes"], *split["notes"]),
    )


def _handed(result: Mapping[str, Any]) -> str:
    """Return what the run hands over, in words: the function that it found, or a rival and its settings."""
    handed = result.get("handed")
    return str(handed["formula"] if handed else result["formula"])


def _best(result: Mapping[str, Any]) -> str:
    """Return the name of the row that is handed over."""
    handed = result.get("handed")
    return str(handed["name"]) if handed else FOUND


def _table(columns: tuple[SheetColumn, ...], result: Mapping[str, Any]) -> Table:
    """Return the rows, best validation first."""
    sign = -1.0 if result["maximise"] else 1.0
    headings = ("model", *(column.heading for column in columns), "parameters", "seconds")

    def place(entry: tuple[str, Mapping[str, Any]]) -> tuple[float, bool]:
        figure = (entry[1]["valid"] or {}).get(result["metric"])
        return -math.inf if figure is None else sign * figure, entry[0] != _best(result)

    rows = []
    for name, row in sorted(result["rows"].items(), key=place):
        figures = [(row[column.part] or {}).get(column.metric) for column in columns]
        texts = ["-" if figure is None else f"{figure:.4f}" for figure in figures]
        label = f"found: {' + '.join(result['genotype']['choices']['operation'])}" if name == FOUND else name
        rows.append(Line((label, *texts, f"{row['parameters']:,}", f"{row['seconds']:.1f}"), name == _best(result)))
    return Table(headings, tuple(rows))


def _remarks(close: float, result: Mapping[str, Any]) -> list[str]:
    """Return what a reader should not miss: a rival that does better on validation, a training cut short."""
    sentences = []
    own, metric, sign = _best(result), result["metric"], -1.0 if result["maximise"] else 1.0
    valid = result["rows"][own]["valid"]
    if valid is not None:
        found = valid[metric]
        rivals = ((name, row["valid"][metric]) for name, row in result["rows"].items() if name != own and row["valid"])
        name, best = min(rivals, key=lambda entry: sign * entry[1], default=("", found))
        if sign * (found - best) > close:
            what = "what was found" if own == FOUND else own
            sentences.append(f"{name} does better than {what}, by {abs(found - best):.4f} on validation")
    if own == FOUND and result["retrained"] is None and result["epochs"]["best"] == result["epochs"]["most"]:
        sentences.append(f"the best epoch was the last ({result['epochs']['best']}): more may help, raise train.epochs")
    return sentences

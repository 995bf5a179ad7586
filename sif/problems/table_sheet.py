"""The comparison of what was found on a table with its rivals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

from sif.recipes.problems import problem as problem_named
from sif.results import FOUND, notes_of
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
    metric = columns[0].heading.removeprefix("valid ")
    regret = "not measured" if result["regret"] is None else f"{result['regret']:.4f}"
    regret = "" if result.get("study") else f"regret against enumeration {regret} ({metric}, validation)   "
    lists = result.get("ranking")
    ranked, behind = _lists(lists) if lists else (None, [])
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
        remarks=tuple(_remarks(result)),
        cost=(
            f"{regret}search {seconds['search']:.1f} s, training {seconds['train']:.1f} s, "
            f"rivals {seconds['rivals']:.1f} s, peak memory {result['peak_memory_mb']:.0f} MiB"
        ),
        next="sif recommend {run} --user ID -k 10",
        notes=tuple(notes_of(result)),
        warning="; ".join([*_better(problem.close, result), *behind]),
        also=() if ranked is None else (ranked,),
    )


def _lists(told: Mapping[str, Any]) -> tuple[Table, list[str]]:
    """Return what orders the lists of a run of ratings beside popularity, and what does better than it."""
    own = problem_named("ranking")
    rows = {told["row"]: told, "popularity": told["popularity"]}
    shown = {"metric": told["metric"], "maximise": True, "rows": rows, "handed": {"name": told["row"]}}
    columns = own.columns(shown)
    lines = (
        Line((name, *_figures(columns, rows[name])), best=name == told["row"])
        for name in sorted(rows, key=lambda name: -rows[name]["valid"][told["metric"]])
    )
    headings = ("lists by", *(column.heading for column in columns))
    table = Table(headings, tuple(lines), title=f"lists: score = {told['formula']}")
    return table, [f"lists: {sentence}" for sentence in _better(own.close, shown)]


def _figures(columns: tuple[SheetColumn, ...], row: Mapping[str, Any]) -> list[str]:
    figures = [(row[column.part] or {}).get(column.metric) for column in columns]
    return ["-" if figure is None else f"{figure:.4f}" for figure in figures]


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
        label = f"found: {' + '.join(result['genotype']['choices']['operation'])}" if name == FOUND else name
        rows.append(
            Line(
                (label, *_figures(columns, row), f"{row['parameters']:,}", f"{row['seconds']:.1f}"),
                name == _best(result),
            )
        )
    return Table(headings, tuple(rows))


def _better(close: float, result: Mapping[str, Any]) -> list[str]:
    """Return what does better than what is handed over: the best rival by validation, and popularity by any lead."""
    rows, metric, sign = result["rows"], result["metric"], -1.0 if result["maximise"] else 1.0
    own = _best(result)

    def lead(name: str, part: str) -> float:
        rival, found = (float((rows[each][part] or {}).get(metric, math.nan)) for each in (name, own))
        return sign * (found - rival)

    rivals = [name for name in rows if name != own and not math.isnan(lead(name, "valid"))]
    best = max(rivals, key=lambda name: lead(name, "valid"), default="")
    sentences = []
    what = "what was found" if own == FOUND else own
    for name in dict.fromkeys([best, "popularity"]):
        if name not in rows or name == own:
            continue
        least = 0.0 if name == "popularity" else close
        leads = {"validation": lead(name, "valid"), "test": lead(name, "test")}
        told = [f"by {value:.4f} on {part}" for part, value in leads.items() if value > least]
        if told:
            sentences.append(f"{name} does better than {what}, {' and '.join(told)}")
    return ["popularity does best on validation, and is handed over", *sentences] if own == "popularity" else sentences


def _remarks(result: Mapping[str, Any]) -> list[str]:
    """Return what a reader should not miss besides: a refit, a training cut short."""
    own, said = _best(result), _refit(result)
    if own == FOUND and result["retrained"] is None and result["epochs"]["best"] == result["epochs"]["most"]:
        said.append(f"the best epoch was the last ({result['epochs']['best']}): more may help, raise train.epochs")
    return said


def _refit(result: Mapping[str, Any]) -> list[str]:
    """Return that all models were trained once more before the test part was read, or why not although it was due."""
    told = (result.get("study") or {}).get("refit")
    if not told:
        return []
    if not told["done"]:
        return [f"no refit on training and validation part: {told['why_not']}"]
    sizes = result["split"]["sizes"]
    return [
        f"refit on training and validation part: all models were trained once more, on {sizes['train']:,} + "
        f"{sizes['valid']:,} rows with what validation had chosen; test figures are theirs, validation figures are not"
    ]

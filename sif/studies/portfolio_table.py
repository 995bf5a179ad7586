"""A portfolio's table: reading and writing it, the greedy cover of its configurations, and how that does elsewhere."""

import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sif.checkpoint import write_atomically
from sif.errors import DataError
from sif.resources import resource_dir
from sif.studies.configuration import Configuration

__all__ = [
    "AT",
    "ENTRIES",
    "PortfolioTable",
    "Tried",
    "entries_text",
    "greedy_cover",
    "mean_of",
    "read_portfolio",
    "write_portfolio",
]

ENTRIES = 12
"""How many configurations a portfolio has."""
AT = (1, 3, 6, 12)
"""Of how many of the first the regret is told."""
_LITTLE = 0.005  # of regret: less is no gain
_CLOSE = 0.95  # of the largest gain: from there on the cheapest is taken
_NEARLY = 0.05  # of mean regret: who has no more than so much above the least does as well alone
_FACTS = "made"
_SCHEMA: dict[str, Any] = {
    "task": pl.String,
    "table": pl.String,
    "metric": pl.String,
    "maximise": pl.Boolean,
    "configuration": pl.Int32,
    "by": pl.String,
    "choices": pl.String,
    "settings": pl.String,
    "fidelity": pl.Float32,
    "value": pl.Float32,
    "seconds": pl.Float32,
    "epochs": pl.Int16,
}
Array = NDArray[np.float64]


def write_portfolio(rows: Iterable[Mapping[str, Any]], made: Mapping[str, Any], out: Path) -> None:
    """Write trainings as Parquet, and the cover of each task as JSON beside it; existing files are replaced whole.

    Args:
        rows: One for each training, with the columns of the table; `choices` and `settings` as plain data.
        made: How, as plain data.
        out: The Parquet file.
    """
    plain = [{**row, "choices": json.dumps(row["choices"]), "settings": json.dumps(row["settings"])} for row in rows]
    frame = pl.DataFrame(plain, schema=_SCHEMA).with_columns(pl.lit(json.dumps(made)).alias(_FACTS))
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=19)
    write_atomically(out, buffer.getvalue())
    write_atomically(out.with_suffix(".json"), entries_text(PortfolioTable(frame)))


def read_portfolio(path: Path | None = None) -> "PortfolioTable":
    """Read a portfolio's table; by default the one that ships.

    Args:
        path: The Parquet file.

    Raises:
        DataError: It is missing, damaged, or no such table.
    """
    path = resource_dir("data") / "tables" / "portfolio.parquet" if path is None else path
    if not path.is_file():
        raise DataError(f"no portfolio {path}\n  Make one: sif portfolio build FOLDER --out {path}")
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}\n  Give a file of `sif portfolio build`.") from None
    if missing := [name for name in (*_SCHEMA, _FACTS) if name not in frame.columns]:
        raise DataError(f"{path} has no column {', '.join(missing)}\n  Give a file of `sif portfolio build`.")
    return PortfolioTable(frame)


def entries_text(table: "PortfolioTable", without: Collection[str] = ()) -> str:
    """Return the covers of a table as the JSON that a study reads.

    Args:
        table: With what was trained.
        without: Tables that are left out, with all that was tried for their sake.
    """
    covers = {task: (tried.configurations, tried.cover(without=without)) for task, tried in table.items()}
    entries = {task: [_entry(known[place]) for place in chosen] for task, (known, chosen) in covers.items()}
    about = (
        "Made by `sif portfolio build` from the table beside it: the greedy cover of its tables (docs/portfolio.md)."
    )
    return json.dumps({"about": about, "entries": entries}, indent=1) + "\n"


def greedy_cover(regret: Array, seconds: Array, count: int) -> list[int]:
    """Return configurations so that the best of the first k has little regret on the mean of the tables, for each k.

    Where nothing more is to be gained the tables are covered anew, without what is chosen.

    Args:
        regret: `[tables, configurations]`, in [0, 1].
        seconds: What a configuration takes, `[configurations]`; of those that gain about the same the cheapest.
        count: How many at most.
    """
    chosen: list[int] = []
    start = covered = np.ones(len(regret))
    while len(chosen) < min(count, regret.shape[1]):
        gain = covered.mean() - np.minimum(covered[:, None], regret).mean(axis=0)
        gain[chosen] = -1.0
        if gain.max() < _LITTLE and covered is not start:
            covered = start
            continue
        near = np.flatnonzero(gain >= gain.max() * _CLOSE)
        best = int(near[np.lexsort((-gain[near], seconds[near]))[0]]) if gain.max() > 0 else int(gain.argmax())
        chosen.append(best)
        covered = np.minimum(covered, regret[:, best])
    return chosen


@dataclass(frozen=True)
class Tried:
    """What configurations came to on the tables of one task.

    Attributes:
        tables: Names.
        configurations: In the order in which they were tried.
        regret: float64 `[tables, configurations]`: 0 the best of a table, 1 the median of what was tried there or
            worse; of the best training at any fidelity.
        seconds: float64 `[configurations]`: of a full training, as a share of the tables' median ones, in the mean.
    """

    tables: tuple[str, ...]
    configurations: tuple[Configuration, ...]
    regret: Array
    seconds: Array

    def cover(self, count: int = ENTRIES, without: Collection[str] = ()) -> list[int]:
        """Return the places of the greedy cover, of those that do best alone the cheapest first.

        A small budget holds one training: of entries whose own mean regret is within .05 of the least it should be the
        one that trains fastest. The others keep their order.

        Args:
            count: How many.
            without: Tables that are left out, with all that was tried for their sake.
        """
        near = {f"near {name}" for name in without}
        rows = [place for place, name in enumerate(self.tables) if name not in without]
        fair = [place for place, each in enumerate(self.configurations) if each.by not in near]
        found = greedy_cover(self.regret[np.ix_(rows, fair)], self.seconds[fair], count)
        chosen = [fair[place] for place in found]
        alone = self.regret[np.ix_(rows, chosen)].mean(axis=0)
        good = [place for place, own in zip(chosen, alone, strict=True) if own <= alone.min() + _NEARLY]
        first = min(good, key=lambda place: float(self.seconds[place]))
        return [first, *(place for place in chosen if place != first)]

    def left_out(self) -> dict[str, dict[str, dict[int, float]]]:
        """Return the regret of the first 1, 3, 6 and 12 on each table: of a cover of the other tables, and beside it.

        Beside it are a random order of what was drawn, in expectation, and the portfolio before this one.
        """
        drawn = [place for place, each in enumerate(self.configurations) if each.by == "drawn"]
        before = [place for place, each in enumerate(self.configurations) if each.by == "portfolio"]
        found = {}
        for row, name in enumerate(self.tables if len(self.tables) > 1 else ()):
            orders = {"cover": self.cover(without=[name]), "before": before}
            here = self.regret[row]
            told = {kind: {at: float(here[order[:at]].min()) for at in AT} for kind, order in orders.items() if order}
            found[name] = told | ({"random": {at: _expected(here[drawn], at) for at in AT}} if drawn else {})
        return found


class PortfolioTable(dict[str, Tried]):
    """What was tried, by task; `made` says how, `frame` has every training."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame.drop(_FACTS)
        self.made: dict[str, Any] = json.loads(frame[_FACTS][0])
        tasks = self.frame["task"].unique(maintain_order=True).to_list()
        super().__init__({task: _tried(self.frame.filter(pl.col("task") == task)) for task in tasks})


def _tried(frame: pl.DataFrame) -> Tried:
    """Return the regrets of one task; what has no value anywhere on a table has the largest regret there."""
    facts = frame.unique("configuration").sort("configuration")
    numbers, tables = facts["configuration"].to_list(), frame["table"].unique(maintain_order=True).to_list()
    sign = -1.0 if frame["maximise"][0] else 1.0
    losses = np.full((len(tables), len(numbers)), np.inf)
    full = np.full((len(tables), len(numbers)), np.nan)
    place = {number: index for index, number in enumerate(numbers)}
    for row in frame.iter_rows(named=True):
        where = tables.index(row["table"]), place[row["configuration"]]
        if row["value"] is not None:
            losses[where] = min(losses[where], sign * row["value"])
        if row["fidelity"] == 1 or np.isnan(full[where]):
            full[where] = row["seconds"] / row["fidelity"]
    best = losses.min(axis=1, keepdims=True)
    spread = np.median(losses, axis=1, keepdims=True) - best
    regret = np.divide(losses - best, spread, out=np.ones_like(losses), where=(spread > 0) & np.isfinite(losses))
    regret = np.where(losses == best, 0.0, regret.clip(0, 1))
    seconds = (full / np.nanmedian(full, axis=1, keepdims=True)).mean(axis=0)
    plain = [
        Configuration.of(
            {"choices": json.loads(row["choices"]), "settings": json.loads(row["settings"]), "by": row["by"]}
        )
        for row in facts.iter_rows(named=True)
    ]
    return Tried(tuple(tables), tuple(plain), regret, seconds)


def _expected(regrets: Array, count: int) -> float:
    """Return the expectation of the least of `count` regrets that are drawn without replacement."""
    ordered, total = np.sort(regrets), len(regrets)
    count = min(count, total)
    chances = [comb(total - place - 1, count - 1) / comb(total, count) for place in range(total)]
    return float(np.dot(ordered, chances))


def _entry(configuration: Configuration) -> dict[str, Any]:
    told = configuration.plain()
    return {"choices": told["choices"], "settings": told["settings"]}


def mean_of(left_out: Mapping[str, Mapping[str, Mapping[int, float]]], kind: str) -> dict[int, float]:
    """Return the mean over tables."""
    held: Sequence[Mapping[int, float]] = [each[kind] for each in left_out.values() if kind in each]
    return {at: float(np.mean([each[at] for each in held])) for at in AT} if held else {}

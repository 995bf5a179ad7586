"""Look-ups in a table of trained interaction functions: what a point scores, its true rank and its regret."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from nasp_core.genotype import Genotype
from nasp_core.trials import Proposal
from nasp_core.types import Active
from sif.errors import DataError
from sif.resources import resource_dir
from sif.spaces.wide import WideSpace
from sif.spaces.wide_settings import NAME, VERSION, groups_of, settings_of
from sif.tabular.assemble import TABLE_FACTS
from sif.tabular.keys import KEY_COLUMNS, Key, table_key_of
from sif.tabular.plans import TaskName

__all__ = ["InteractionTable", "TablePart"]

TablePart = Literal["valid", "test"]
_SHIPPED = "interactions-ml100k.parquet"
_NEEDED = ("task", *KEY_COLUMNS, "seed", "parameters", "seconds", "epoch", "failed", "curve", TABLE_FACTS)


@dataclass(frozen=True)
class _Trainings:
    """The trainings of one task: arrays `[points, seeds]`, the axes in the order of the table's points and seeds."""

    metric: str
    maximise: bool
    epochs: int
    every: int
    metrics: dict[str, NDArray[np.float64]]
    seconds: NDArray[np.float64]
    parameters: NDArray[np.int64]
    epoch: NDArray[np.int64]
    curves: list[list[list[float]]]

    def means(self, part: TablePart) -> NDArray[np.float64]:
        """Return the mean of the metric over seeds, `[points]`; NaN where a training diverged."""
        means: NDArray[np.float64] = self.metrics[f"{part}_{self.metric}"].mean(axis=1)
        return means

    def losses(self, part: TablePart) -> NDArray[np.float64]:
        """Return the means turned so that less is better, `[points]`; +inf where a training diverged."""
        means = self.means(part)
        return np.where(np.isnan(means), np.inf, -means if self.maximise else means)


class InteractionTable:
    """Every point of a wide space of one branch, trained with several seeds on each task.

    A point is given as a selection of `space()`, or as the genotype of any wide space: it is looked up by the names of
    its choices, whatever sizes and settings the genotype has. What the table does not hold raises `DataError`.

    The mean over seeds is taken for a point's true worth. A training that diverged has NaN for its metrics; its point
    has NaN for its mean, is ranked behind all that did not, and has a regret of infinity.
    """

    def __init__(self, frame: pl.DataFrame, source: str = "table") -> None:
        """Take the rows that `write_table` wrote; `DataError` where columns or rows are missing."""
        missing = [name for name in _NEEDED if name not in frame.columns]
        if missing or not len(frame):
            lack = f"no column {', '.join(missing)}" if missing else "no rows"
            raise DataError(f"{source} has {lack}\n  It must be a table that `sif table build` wrote.")
        self.source = source
        self.made: dict[str, Any] = json.loads(frame[TABLE_FACTS][0])
        self.frame = frame.drop(TABLE_FACTS)
        self.tasks: tuple[str, ...] = tuple(self.made["plans"])
        self.seeds: tuple[int, ...] = tuple(sorted(frame["seed"].unique().to_list()))
        self._settings = settings_of(Genotype(NAME, VERSION, {}, self.made["plans"][self.tasks[0]]["settings"]))
        self._space = self.space()
        held = set(frame.select(KEY_COLUMNS).unique().iter_rows())
        self.points: tuple[Active, ...] = tuple(p for p in self._space.points() if table_key_of(self._space, p) in held)
        self._index = {table_key_of(self._space, active): index for index, active in enumerate(self.points)}
        self._trainings = {task: self._read(task) for task in self.tasks}

    @classmethod
    def load(cls, path: str | Path | None = None) -> "InteractionTable":
        """Read a table that `sif table build` wrote; by default the one of MovieLens 100K that ships.

        Raises `DataError` for a file that is missing, damaged, or no such table.
        """
        path = resource_dir("data") / "tables" / _SHIPPED if path is None else Path(path)
        if not path.is_file():
            raise DataError(f"no table {path}\n  Make one: sif table build --out {path}")
        try:
            frame = pl.read_parquet(path)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{path} cannot be read: {error}\n  Give a Parquet file of `sif table build`.") from None
        return cls(frame, str(path))

    def space(self) -> WideSpace:
        """Return the space whose points the table holds, over two users and two items: for strategies to propose in."""
        return WideSpace.make((2, 2), self._settings, None, torch.ones(4))

    def metric(
        self,
        task: TaskName,
        point: Active | Genotype,
        split: TablePart = "test",
        seed: int | None = None,
        *,
        name: str | None = None,
    ) -> float:
        """Return a metric of a point.

        Args:
            task: `rating` or `ranking`.
            point: The live candidates, or a genotype.
            split: `valid` or `test`.
            seed: Of one training; None: the mean over all.
            name: One of `metrics`; None: the one that judges the task (`rmse` in rating units, `ndcg@10`).
        """
        table = self._of(task)
        wanted = f"{_part(split)}_{name or table.metric}"
        if wanted not in table.metrics:
            raise DataError(f"no metric {name!r} of {task} in {self.source}; there are {', '.join(self.metrics(task))}")
        row = table.metrics[wanted][self._place(point)]
        return float(row.mean() if seed is None else row[self._seed(seed)])

    def metrics(self, task: TaskName) -> tuple[str, ...]:
        """Return the names of the metrics of a task, the one that judges first."""
        table = self._of(task)
        names = [name.removeprefix("test_") for name in table.metrics if name.startswith("test_")]
        return (table.metric, *(name for name in names if name != table.metric))

    def maximise(self, task: TaskName) -> bool:
        """Return whether more of the task's metric is better."""
        return self._of(task).maximise

    def judge(self, task: TaskName, seed: int = 0) -> Callable[[Proposal], float]:
        """Return what multi-trial strategies ask: a proposal's validation metric, turned so that larger is better.

        A fidelity below 1 gets the best validation of that share of the epochs (of the first validation at least) - of
        the very training that fidelity 1 gets whole, whose learning rate was meant for all epochs. A training that
        diverged is -inf. What is returned raises `DataError` where the proposal's point is not in the table.

        Args:
            task: `rating` or `ranking`.
            seed: Of the training, modulo the number of seeds that the table holds.
        """
        table, column = self._of(task), seed % len(self.seeds)
        whole = table.metrics[f"valid_{table.metric}"][:, column]
        sign, best = (1.0, max) if table.maximise else (-1.0, min)

        def score(proposal: Proposal) -> float:
            place = self._place(proposal.active)
            if math.isnan(whole[place]):
                return -math.inf
            if proposal.fidelity >= 1.0:
                return sign * float(whole[place])
            evals = max(1, math.floor(proposal.fidelity * table.epochs / table.every + 1e-9))
            known = [value for value in table.curves[place][column][:evals] if not math.isnan(value)]
            return sign * best(known) if known else -math.inf

        return score

    def curve(self, task: TaskName, point: Active | Genotype, seed: int = 0) -> dict[int, float]:
        """Return the validation metric of one training by the epochs after which it was taken.

        Args:
            task: `rating` or `ranking`.
            point: The live candidates, or a genotype.
            seed: Of the training.
        """
        table = self._of(task)
        values = table.curves[self._place(point)][self._seed(seed)]
        return {min((index + 1) * table.every, table.epochs): value for index, value in enumerate(values)}

    def seconds(self, task: TaskName, point: Active | Genotype) -> float:
        """Return the seconds of one processor core that a training of a point took, mean over seeds.

        Args:
            task: `rating` or `ranking`.
            point: The live candidates, or a genotype.
        """
        return float(self._of(task).seconds[self._place(point)].mean())

    def parameters(self, task: TaskName, point: Active | Genotype) -> int:
        """Return the number of parameters of a point's network.

        Args:
            task: `rating` or `ranking`.
            point: The live candidates, or a genotype.
        """
        return int(self._of(task).parameters[self._place(point)])

    def rank(self, task: TaskName, point: Active | Genotype, split: TablePart = "test") -> int:
        """Return the true rank of a point, 1 is the best: one more than how many have a better mean over seeds.

        Args:
            task: `rating` or `ranking`.
            point: The live candidates, or a genotype.
            split: `valid` or `test`.
        """
        losses = self._of(task).losses(_part(split))
        return 1 + int((losses < losses[self._place(point)]).sum())

    def regret(self, task: TaskName, point: Active | Genotype, split: TablePart = "test") -> float:
        """Return how much worse a point's mean over seeds is than that of the best point: 0 or more, in the metric.

        Args:
            task: `rating` or `ranking`.
            point: The live candidates, or a genotype.
            split: `valid` or `test`.
        """
        losses = self._of(task).losses(_part(split))
        own = losses[self._place(point)]
        return math.inf if math.isinf(own) else float(own - losses.min())

    def best(self, task: TaskName, split: TablePart = "test") -> Active:
        """Return the point of the best mean over seeds; of equals the first.

        Args:
            task: `rating` or `ranking`.
            split: `valid` or `test`.
        """
        return self.points[int(self._of(task).losses(_part(split)).argmin())]

    def mean(self, task: TaskName, split: TablePart = "test") -> float:
        """Return the mean over all points that did not diverge: what drawing one blindly gives.

        Args:
            task: `rating` or `ranking`.
            split: `valid` or `test`.
        """
        return float(np.nanmean(self._of(task).means(_part(split))))

    def values(self, task: TaskName, split: TablePart = "test", name: str | None = None) -> NDArray[np.float64]:
        """Return a metric of all points and seeds, float64 `[points, seeds]`; NaN where a training diverged.

        Args:
            task: `rating` or `ranking`.
            split: `valid` or `test`.
            name: One of `metrics`; None: the one that judges the task.
        """
        table = self._of(task)
        return table.metrics[f"{_part(split)}_{name or table.metric}"].copy()

    def key(self, point: Active | Genotype) -> Key:
        """Return the names of a point's choices, ordered as `KEY_COLUMNS`; `DataError` where the table lacks it."""
        if isinstance(point, Genotype):
            names = tuple(
                str(name) for group in groups_of(self._settings) for name in point.choices.get(group.name, ())
            )
            right = point.space == NAME and set(point.choices) == {group.name for group in groups_of(self._settings)}
        else:
            right = all(
                len(point.get(g.name, ())) == g.choices and all(0 <= i < len(g.candidates) for i in point[g.name])
                for g in self._space.groups
            )
            names = table_key_of(self._space, point) if right else ()
        if not right or names not in self._index:
            raise DataError(f"{self.source} does not hold the point {_text(point, names)}\n  {self._holds()}")
        return names

    def holds(self, point: Active | Genotype) -> bool:
        """Return whether the table holds a point."""
        try:
            self.key(point)
        except DataError:
            return False
        return True

    def _place(self, point: Active | Genotype) -> int:
        return self._index[self.key(point)]

    def _seed(self, seed: int) -> int:
        if seed not in self.seeds:
            raise DataError(f"{self.source} has no seed {seed}; there are {', '.join(map(str, self.seeds))}")
        return self.seeds.index(seed)

    def _of(self, task: str) -> _Trainings:
        if task not in self._trainings:
            raise DataError(f"{self.source} has no task {task!r}; there are {', '.join(self._trainings)}")
        return self._trainings[task]

    def _holds(self) -> str:
        """Say what the table holds, in one sentence."""
        offers = [f"{group.name} {'|'.join(group.candidates)}" for group in self._space.groups]
        return f"It holds {len(self.points)} points of one branch: {'; '.join(offers)}."

    def _read(self, task: str) -> _Trainings:
        frame, plan = self.frame.filter(pl.col("task") == task), self.made["plans"][task]
        shape = len(self.points), len(self.seeds)
        seeds = {seed: place for place, seed in enumerate(self.seeds)}
        where = [
            self._index.get(row[:-1], -1) * shape[1] + seeds[row[-1]]
            for row in frame.select(*KEY_COLUMNS, "seed").rows()
        ]
        if sorted(where) != list(range(shape[0] * shape[1])):
            raise DataError(
                f"{self.source} has {len(where)} trainings of {task}, not one for each of {shape[0]} points "
                f"and {shape[1]} seeds\n  The build did not end; go on with the same `sif table build`."
            )
        frame = frame[np.argsort(where)]
        metrics = {
            name: frame[name].cast(pl.Float64).fill_null(math.nan).to_numpy().reshape(shape)
            for name in frame.columns
            if name.startswith(("valid_", "test_")) and frame[name].is_not_null().any()
        }
        curves = [[math.nan if v is None else v for v in values] for values in frame["curve"].to_list()]
        return _Trainings(
            metric=plan["metric"],
            maximise=plan["maximise"],
            epochs=plan["training"]["epochs"],
            every=plan["training"]["evaluate_every"],
            metrics=metrics,
            seconds=frame["seconds"].cast(pl.Float64).to_numpy().reshape(shape),
            parameters=frame["parameters"].cast(pl.Int64).to_numpy().reshape(shape)[:, 0],
            epoch=frame["epoch"].cast(pl.Int64).to_numpy().reshape(shape),
            curves=[curves[start : start + shape[1]] for start in range(0, len(curves), shape[1])],
        )


def _part(split: str) -> TablePart:
    for part in get_args(TablePart):
        if split == part:
            return part  # type: ignore[no-any-return]
    raise DataError(f"no part {split!r} in a table; there are {', '.join(get_args(TablePart))}")


def _text(point: Active | Genotype, names: Key) -> str:
    return ", ".join(names) if names else str(dict(point.choices) if isinstance(point, Genotype) else point)

"""Rivals inside a study that are networks of their own, and no points of the space: each is trained once, in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nasp_core.errors import SearchError
from nasp_core.evaluation import better
from nasp_core.network import Network
from nasp_core.types import State
from sif.problems.base import ComparedModel, RivalNetwork
from sif.problems.handing import trained_tree
from sif.problems.tables import TableInstance
from sif.ranges import SettingsSpace
from sif.rivals.handed import LearntRival
from sif.runs.stages import Stages, trained_stage
from sif.studies.walk import next_point

__all__ = ["Baselines"]


@dataclass(frozen=True)
class _Learnt:
    state: State
    settings: Mapping[str, Any]
    seconds: float
    trials: int


class Baselines:
    """Networks of rivals, tuned on the grid of the recipe, point by point.

    Attributes:
        names: of those that run on this table, in the order of the recipe.
        done: a line of trials.jsonl for each training.
    """

    def __init__(self, instance: TableInstance, stages: Stages) -> None:
        """Take the rivals of a recipe, points of the space included; see `leave`.

        Args:
            instance: The table.
            stages: Of the run: a point is trained once.
        """
        self._instance, self._stages = instance, stages
        self._rivals: dict[str, RivalNetwork] = instance.rivals()
        self._best: dict[str, _Learnt] = {}
        self._tried: Counter[str] = Counter()
        self.done: list[dict[str, Any]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The rivals."""
        return tuple(self._rivals)

    @property
    def values(self) -> dict[str, float]:
        """The validation metric of each that was trained."""
        metric = self._instance.final_task.metric
        return {name: float(each.state["valid"][metric]) for name, each in self._best.items()}

    def leave(self, *names: str) -> None:
        """Leave out rivals that are trained in another way: as points of the space, or by their own methods.

        Args:
            *names: Of the rivals.
        """
        for name in names:
            self._rivals.pop(name, None)

    def due(self, leading: str = "") -> tuple[str, dict[str, Any]] | None:
        """Return the next rival and its point; None where none is.

        The first point of each goes first, then those next on the grids; then the one that leads, if one does, goes
        from its best point to its neighbours: it may be what is handed over.

        Args:
            leading: The name of what is best of all that was trained.
        """
        left = [name for name, rival in self._rivals.items() if self._tried[name] < len(rival.grid)]
        name = min(left, key=lambda each: self._tried[each], default=None)
        if name is not None:
            return name, dict(self._rivals[name].grid[self._tried[name]])
        if leading not in self._best or not self._rivals[leading].trained:
            return None
        tried = [line["settings"] for line in self.done if line["rival"] == leading]
        point = next_point(self._best[leading].settings, self._rivals[leading].own, tried, self._ranges(leading))
        return None if point is None else (leading, point)

    def _ranges(self, name: str) -> SettingsSpace:
        """Return what a study may change of what a rival reads, by its short names."""
        searched, pinned = self._instance.problem.settings_space, self._instance.recipe.pinned
        short = {key.rpartition(".")[2]: each for key, each in searched.items() if key not in pinned}
        return {key: each for key, each in short.items() if key in self._rivals[name].own}

    def train(self, name: str, changes: Mapping[str, Any]) -> float:
        """Train a rival under changed settings, or read what an earlier process made of it; return the seconds.

        One that diverges has no value there.

        Args:
            name: Of the rival.
            changes: A point of its grid.
        """
        instance, task = self._instance, self._instance.final_task
        told = " ".join(f"{key}={value!r}" for key, value in changes.items())
        network, stage = self._rivals[name].build(dict(changes)), f"baseline {name} {told}"
        self._tried[name] += 1
        line: dict[str, Any] = {"rival": name, "settings": dict(changes), "value": None, "seconds": 0.0}
        self.done.append(line)
        if self._rivals[name].trained:
            training, key = instance.training(dict(changes)), f"baseline/{name}"
            try:
                made = trained_stage(self._stages, stage, network, task, training, key, instance.recipe.seed)
            except SearchError as error:
                self._stages.note(f"rival {name} has no value: {error}")
                return 0.0
        else:
            counted: State = {"weights": dict(network.state_dict()), "trace": [], "epoch": None, "seconds": 0.0}
            made = counted | {"valid": instance.evaluate(network, "valid")}
        seconds, value = float(made["seconds"]), float(made["valid"][task.metric])
        line |= {"value": value, "seconds": round(seconds, 3)}
        before = self._best.get(name)
        best = before is None or better(task, value, float(before.state["valid"][task.metric]))
        state, settings = (made, changes) if best or before is None else (before.state, before.settings)
        spent, trials = (before.seconds, before.trials) if before else (0.0, 0)
        self._best[name] = _Learnt(state, settings, spent + seconds, trials + 1)
        return seconds

    def settings(self, name: str) -> Mapping[str, Any]:
        """Return the point at which a rival is best."""
        return self._best[name].settings

    def state(self, name: str) -> State:
        """Return what a rival learnt at its best point, as a stage of training keeps it."""
        return self._best[name].state

    def network(self, name: str, state: State | None = None, instance: TableInstance | None = None) -> Network:
        """Return the network of a rival at its best point.

        Args:
            name: Of the rival.
            state: Other weights than those that were chosen.
            instance: What these learnt from; None: the table.
        """
        on = instance or self._instance
        network = on.rivals()[name].build(dict(self._best[name].settings))
        network.load_state_dict((state or self._best[name].state)["weights"])
        return network

    def compared(self, name: str, network: Network) -> ComparedModel:
        """Return a rival as a model that a run compares.

        Args:
            name: Of the rival.
            network: With its weights.
        """
        best = self._best[name]
        valid, settings = best.state["valid"], dict(best.settings)
        return ComparedModel(network, True, valid, best.seconds, trials=best.trials, settings=settings)

    def tree(self, name: str, network: Network, instance: TableInstance) -> State:
        """Return a rival as the tree of a model.

        Args:
            name: Of the rival.
            network: With its weights.
            instance: What it was trained on.
        """
        best = self._best[name]
        learnt = LearntRival(name, dict(best.settings), instance.recipe.seed, best.state["epoch"])
        return trained_tree(instance, learnt, network)

"""The stages of a run, each done once: what is finished is read back, what was interrupted goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from nasp_core.loop import Observer, Passing
from nasp_core.network import Network
from nasp_core.optimise import Training
from nasp_core.search import Found, train_genotype
from nasp_core.training import Trained
from nasp_core.types import State, Task
from sif.device import in_words
from sif.journal import Journal
from sif.run_directory import RunDirectory

__all__ = ["RETRAINING", "Stages", "searched", "trained_stage"]

RETRAINING = "retraining"
"""The folder of a run in which `sif train` keeps what it goes on from."""


class _Checkpointer(Passing):
    """Saves the state of the running stage now and then, and passes on what a training tells."""

    def __init__(self, outer: Observer, save: Callable[[State], None], every: float) -> None:
        super().__init__(outer)
        self._save, self._every, self._last = save, every, time.monotonic()

    def checkpoint_due(self) -> bool:
        return time.monotonic() - self._last >= self._every

    def save(self, packed: State) -> None:
        self._save(packed)
        self._last = time.monotonic()


class Stages:
    """Runs the stages of a run in order as pieces of a journal, shows them, and saves their states.

    A kill at any moment loses at most `every` seconds of work, or the training of the one point that a trial search or
    a final was at.
    """

    def __init__(self, run: RunDirectory, progress: Observer, every: float = 2.0, folder: str = "checkpoint") -> None:
        self.journal = Journal(run.path / folder, "search", "bring back what it was, or search again")
        self.note, self._progress, self._every = progress.note, progress, every

    def run(self, name: str, compute: Callable[[Observer, State | None], State], depends: Any = None) -> State:
        """Return the outcome of stage `name`: from disk if it is done, else by `compute(observer, resume)`."""

        def begun(save: Callable[[State], None], resume: State | None) -> State:
            self._progress.stage(name)
            with in_words(name):
                return compute(_Checkpointer(self._progress, save, self._every), resume)

        outcome: State = self.journal.run(name, begun, depends)
        return outcome


def searched(found: Found) -> State:
    """Return the outcome of a search as a stage keeps it.

    `weights` are those of an architecture that the search trained; `trained` the outcome of its final training, where
    the search went through with it (see `trained_stage`).
    """
    return {
        "genotype": found.genotype.to_json(),
        "metric": found.metric,
        "scores": found.scores,
        "trace": found.trace,
        "seconds": found.seconds,
        "weights": None if found.network is None else dict(found.network.state_dict()),
        "trained": None if found.trained is None else _outcome(found.trained),
    }


def _outcome(done: Trained) -> State:
    return {
        "weights": dict(done.network.state_dict()),
        "valid": done.metrics,
        "trace": done.trace,
        "epoch": done.epoch,
        "seconds": done.seconds,
    }


def trained_stage(
    stages: Stages,
    name: str,
    network: Network,
    task: Task,
    training: Training,
    key: str,
    seed: int,
    made_of: Any = None,
) -> State:
    """Train the plain network of the genotype with that `key` as one stage; return its outcome.

    Where the recipe does not say all that the network is, `made_of` does, in plain data.

    The outcome: `weights`, `valid` metrics, `trace`, `epoch` (whose weights they are), `seconds`.
    """

    def compute(observer: Observer, resume: State | None) -> State:
        return _outcome(train_genotype(network, task, training, key=key, seed=seed, observer=observer, resume=resume))

    depends = [str(training), key, seed]
    return stages.run(name, compute, depends if made_of is None else [*depends, made_of])

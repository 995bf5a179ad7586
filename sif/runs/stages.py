"""The stages of a run, each done once: what is finished is read back, what was interrupted goes on."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from nasp_core.loop import Observer
from nasp_core.network import Network
from nasp_core.optimise import Training
from nasp_core.search import Found, train_genotype
from nasp_core.training import Trained
from nasp_core.types import State, Task
from sif.checkpoint import load_tree, save_tree, write_atomically
from sif.errors import RunError
from sif.memory import in_words
from sif.run_directory import RunDirectory

__all__ = ["RETRAINING", "Progress", "Stages", "searched", "trained_stage"]

RETRAINING = "retraining"
"""The folder of a run in which `sif train` keeps what it goes on from."""


class Progress(Observer):
    """TrialResult how a run goes on; the base shows nothing. `sif.cli` has one that draws."""

    def stage(self, name: str) -> None:
        """Take note of the stage that begins."""


class _Checkpointer(Observer):
    """Saves the state of the running stage now and then, and passes on what a training tells."""

    def __init__(self, path: Path, progress: Progress, every: float) -> None:
        self._path, self._every = path, every
        self._last = time.monotonic()
        self.started, self.stepped, self.logged = progress.started, progress.stepped, progress.logged  # type: ignore[method-assign]

    def checkpoint_due(self) -> bool:
        return time.monotonic() - self._last >= self._every

    def save(self, packed: State) -> None:
        save_tree(self._path, packed)
        self._last = time.monotonic()


class Stages:
    """Runs the stages of a run in order, each once: a finished stage is read back, the interrupted one goes on.

    In its folder `NAME.safetensors` is the outcome of a finished stage, `NAME.partial.safetensors` the state of the
    running one. Both are plain trees; a kill at any moment loses at most `every` seconds of work, or the training of
    the one point that a trial search or a final was at.
    """

    def __init__(self, run: RunDirectory, progress: Progress, every: float = 2.0, folder: str = "checkpoint") -> None:
        self._folder, self._progress, self._every = run.path / folder, progress, every
        self._folder.mkdir(exist_ok=True)

    def run(self, name: str, compute: Callable[[Observer, State | None], State]) -> State:
        """Return the outcome of stage `name`: from disk if it is done, else by `compute(observer, resume)`."""
        done, partial = self._files(name)
        if done.is_file():
            outcome: State = load_tree(done)
            return outcome
        self._progress.stage(name)
        resume = load_tree(partial) if partial.is_file() else None
        with in_words(name):
            computed = compute(_Checkpointer(partial, self._progress, self._every), resume)
        save_tree(done, computed)
        partial.unlink(missing_ok=True)
        outcome = load_tree(done)
        return outcome

    def _files(self, name: str) -> tuple[Path, Path]:
        stem = re.sub(r"[^\w.=-]+", "-", name)
        return self._folder / f"{stem}.safetensors", self._folder / f"{stem}.partial.safetensors"

    def forget(self, name: str) -> None:
        """Remove what is kept of a finished stage, and the folder when no other stage is in it."""
        for path in self._files(name):
            path.unlink(missing_ok=True)
        if not any(self._folder.glob("*.safetensors")):
            shutil.rmtree(self._folder, ignore_errors=True)

    def check(self, fingerprint: str) -> None:
        """Note the split of the run; raises `RunError` when an interrupted run was made with another one."""
        note = self._folder / "split.txt"
        if note.is_file() and note.read_text() != fingerprint:
            raise RunError(
                f"the data of run {self._folder.parent} have changed since it began: split {fingerprint}, "
                f"then {note.read_text()}; bring the data back, or search again"
            )
        write_atomically(note, fingerprint)


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
    stages: Stages, name: str, network: Network, task: Task, training: Training, key: str, seed: int
) -> State:
    """Train the plain network of the genotype with that `key` as one stage; return its outcome.

    The outcome: `weights`, `valid` metrics, `trace`, `epoch` (whose weights they are), `seconds`.
    """

    def compute(observer: Observer, resume: State | None) -> State:
        return _outcome(train_genotype(network, task, training, key=key, seed=seed, observer=observer, resume=resume))

    return stages.run(name, compute)

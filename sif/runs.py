"""The run directory: everything a search leaves on disk, enough to resume, retrain, serve and explain it."""

from __future__ import annotations

import io
import itertools
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from torch import Tensor

from nasp_core.errors import GenotypeError
from nasp_core.genotype import Genotype
from nasp_core.loop import Observer
from nasp_core.network import Network
from nasp_core.optimise import Training
from nasp_core.search import Found, train_genotype
from nasp_core.training import Trained
from nasp_core.types import State, Task
from sif.checkpoint import load_tree, save_tree, write_atomically
from sif.data import Prepared
from sif.errors import RunError
from sif.memory import in_words
from sif.models.saved import task_tree
from sif.recipes import AnyRecipe, load_recipe
from sif.results import SCHEMA_VERSION
from sif.toml import dump_toml

__all__ = [
    "RETRAINING",
    "FinishedRun",
    "Progress",
    "RunDirectory",
    "Shown",
    "Stages",
    "searched",
    "trained_stage",
    "write_model",
]

RETRAINING = "retraining"
"""The folder of a run in which `sif train` keeps what it goes on from."""
_FILES = "recipe.toml|genotype.json|model.safetensors|result.json|trace.jsonl|report.html|ids.json|seen.npz"
_TEMPORARY = r"\.(" + _FILES.replace(".", r"\.") + r")\.\w+"
"""The temporary names of `write_atomically`."""


class RunDirectory:
    """One run on disk: recipe.toml, genotype.json, model.safetensors, result.json, trace.jsonl, report.html."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path | None, name: str) -> RunDirectory:
        """Make a new directory: `path`, which must not hold a run yet, or the next free `runs/NAME-N`."""
        if path is None:
            stem = re.sub(r"[^\w.-]+", "-", name).strip("-") or "run"
            numbered = (Path("runs") / f"{stem}-{number}" for number in itertools.count(1))
            return cls(next(candidate for candidate in numbered if _made(candidate)))
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise RunError(f"{path} exists and is not empty; give another --out, or go on with --resume {path}")
        _made(path)
        return cls(path)

    @classmethod
    def open(cls, path: Path | str, *, needs: str = "recipe.toml") -> RunDirectory:
        """Open an existing run that has the file `needs`; raises `RunError` saying what is missing."""
        path = Path(path)
        if not path.is_dir():
            raise RunError(f"no run directory {path}; `sif search` makes one and prints its path")
        if not (path / needs).is_file():
            if needs != "recipe.toml" and (path / "recipe.toml").is_file():
                raise RunError(f"run {path} has no {needs}: it did not finish. Go on with: sif search --resume {path}")
            raise RunError(f"{path} is not a run directory: it has no {needs}")
        return cls(path)

    def recipe(self) -> AnyRecipe:
        """Return the resolved recipe."""
        return load_recipe(self.path / "recipe.toml")

    def write_recipe(self, recipe: AnyRecipe) -> None:
        """Write the resolved recipe: every value that is used, files by their absolute paths."""
        again = f"sif search --recipe {self.path}/recipe.toml"
        header = f"# Resolved by sif: every value of this run. Run it again with: {again}\n"
        values = recipe.model_dump()
        for key in ("dataset", "valid", "test", "table"):
            if values.get(key) and Path(values[key]).exists():
                values[key] = str(Path(values[key]).resolve())
        self.write("recipe.toml", header + dump_toml(values))

    def genotype(self) -> Genotype:
        """Return what was found."""
        try:
            return Genotype.from_json(self.file("genotype.json").read_text())
        except GenotypeError as error:
            raise RunError(f"{self.path / 'genotype.json'}: {error}") from None

    def result(self) -> dict[str, Any]:
        """Return result.json as plain data."""
        try:
            data: dict[str, Any] = json.loads(self.file("result.json").read_text())
        except json.JSONDecodeError as error:
            raise RunError(f"{self.path / 'result.json'} is damaged at line {error.lineno}: {error.msg}") from None
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            raise RunError(
                f"{self.path / 'result.json'} has schema version {version}, this sif reads {SCHEMA_VERSION}; "
                "use the sif that wrote it, or search again"
            )
        return data

    def file(self, name: str) -> Path:
        """Return the path of a file of the run; raises `RunError` when it is gone."""
        if not (self.path / name).is_file():
            raise RunError(f"run {self.path} lacks its {name}; bring the file back, or search again")
        return self.path / name

    def write(self, name: str, content: str | bytes) -> None:
        """Write one file of the run, whole or not at all."""
        write_atomically(self.path / name, content)

    def write_json(self, name: str, data: Any) -> None:
        """Write plain data as indented JSON."""
        self.write(name, json.dumps(data, indent=2) + "\n")

    def clear(self) -> None:
        """Remove what only an unfinished run needs: checkpoints, and files that a kill left half-written."""
        shutil.rmtree(self.path / "checkpoint", ignore_errors=True)
        for left in self.path.glob(".*"):
            if re.fullmatch(_TEMPORARY, left.name):
                left.unlink(missing_ok=True)

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return (self.path / "result.json").is_file()


def _made(path: Path) -> bool:
    """Make a directory and return whether it was not there; atomic, so that two searches never share one."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise RunError(f"cannot make the run directory {path}: {error.strerror}; give another --out") from None
    return True


class FinishedRun:
    """A finished run: its directory, its result and what was found. `sif.Run` and `sif.CellRun` add the model."""

    def __init__(self, directory: RunDirectory, keep: tempfile.TemporaryDirectory[str] | None = None) -> None:
        """Open the run in `directory`; `keep` is a temporary folder that lives as long as this object."""
        self.directory, self._keep = directory, keep
        self.result = directory.result()
        self.genotype = directory.genotype()

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path

    def save(self, path: str | Path) -> Path:
        """Copy the run directory to `path`, which must not exist."""
        if Path(path).exists():
            raise RunError(f"{path} exists; give a path that does not")
        return Path(shutil.copytree(self.path, path))


class Progress:
    """Shows what goes on; the base shows nothing. `sif.cli` has one that draws."""

    def stage(self, name: str) -> None:
        """Hear which stage begins."""

    def steps(self, what: str, total: int, done: int) -> None:
        """Hear that a training of `total` steps begins, `done` of them done before."""

    def step(self) -> None:
        """Hear that a step is done."""

    def record(self, record: dict[str, Any]) -> None:
        """Hear a line of the trace."""


class Shown(Observer):
    """Passes what a training tells on to a `Progress`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def started(self, what: str, steps: int, done: int) -> None:
        """Pass on the beginning."""
        self._progress.steps(what, steps, done)

    def stepped(self) -> None:
        """Pass on a step."""
        self._progress.step()

    def logged(self, record: dict[str, Any]) -> None:
        """Pass on a line of the trace."""
        self._progress.record(record)


class _Checkpointer(Shown):
    """Saves the state of the running stage now and then, besides showing it."""

    def __init__(self, path: Path, progress: Progress, every: float) -> None:
        super().__init__(progress)
        self._path, self._every = path, every
        self._last = time.monotonic()

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

    `weights` are those of a find that the search trained; `trained` the outcome of its final training, where the search
    went through with it (see `trained_stage`).
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


def write_model(
    directory: RunDirectory, genotype: Genotype, weights: dict[str, Tensor], epoch: int, data: Prepared
) -> None:
    """Write genotype.json, model.safetensors and what serving needs: ids.json (raw ids, titles) and seen.npz."""
    directory.write("genotype.json", genotype.to_json())
    save_tree(directory.path / "model.safetensors", task_tree(genotype, weights, data.task) | {"epoch": epoch})
    known = data.interactions
    contexts = known.contexts.to_list() if len(data.task.sizes) == 3 and known.contexts is not None else None
    titles = None if data.titles is None else {str(item): title for item, title in data.titles.items()}
    ids = {"users": known.users.to_list(), "items": known.items.to_list(), "contexts": contexts, "titles": titles}
    directory.write("ids.json", json.dumps(ids))
    seen = known.user_items()
    seen.data = np.ones_like(seen.data)
    buffer = io.BytesIO()
    sparse.save_npz(buffer, seen)
    directory.write("seen.npz", buffer.getvalue())

"""The run directory: everything a search leaves on disk, enough to resume, retrain, serve and explain it."""

import itertools
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import has_magic
from pathlib import Path
from typing import Any

from nasp_core.errors import GenotypeError
from nasp_core.genotype import Genotype
from sif.checkpoint import write_atomically
from sif.errors import RunError
from sif.host import TemporaryFolder
from sif.lock import LOCK, alone
from sif.results import SCHEMA_VERSION, notes_of, upgraded
from sif.toml import dump_toml

__all__ = ["RANKING_FOLDER", "STEPS", "FinishedRun", "RunDirectory"]

RANKING_FOLDER = "ranking"
"""The folder of a run of ratings in which the run lies that orders its lists, where both were searched."""
STEPS = "steps.jsonl"
"""The file of a study's journal that tells what it did; such a journal is kept, so that the budget may be raised."""

_FILES = (
    "recipe.toml|genotype.json|model.safetensors|result.json|trace.jsonl|report.html|ids.json|seen.npz|compare.json"
    "|trials.jsonl"
)
_TEMPORARY = r"\.(" + _FILES.replace(".", r"\.") + r")\.\w+"
"""The temporary names of `write_atomically`."""


class RunDirectory:
    """One run on disk: recipe.toml, genotype.json, model.safetensors, result.json, trace.jsonl, report.html."""

    def __init__(self, path: Path, *, new: bool = False) -> None:
        self.path, self._new = path, new

    @contextmanager
    def alone(self, doing: str) -> Iterator[None]:
        """Hold the directory for a block, as `sif.lock.alone` does; a new one must still be nobody's."""
        with alone(self.path, doing):
            if self._new and (self.path / "recipe.toml").exists():
                raise RunError(f"{self.path} is another search's by now; give another --out")
            self._new = False
            yield

    @classmethod
    def create(cls, path: Path | None, name: str) -> "RunDirectory":
        """Make a new directory: `path`, which must not hold a run yet, or the next free `runs/NAME-N`."""
        if path is None:
            stem = re.sub(r"[^\w.-]+", "-", name).strip("-") or "run"
            numbered = (Path("runs") / f"{stem}-{number}" for number in itertools.count(1))
            return cls(next(candidate for candidate in numbered if _made(candidate)), new=True)
        if path.is_file() or (path.is_dir() and any(not _of_a_kill(left.name) for left in path.iterdir())):
            raise RunError(f"{path} exists and is not empty; give another --out, or go on with --resume {path}")
        _made(path)
        return cls(path, new=True)

    @classmethod
    def open(cls, path: Path | str, *, needs: str = "recipe.toml") -> "RunDirectory":
        """Open an existing run that has the file `needs`; raises `RunError` saying what is missing."""
        path = Path(path)
        if not path.is_dir():
            raise RunError(f"no run directory {path}; `sif search` makes one and prints its path")
        if not (path / needs).is_file():
            if needs != "recipe.toml" and (path / "recipe.toml").is_file():
                raise RunError(f"run {path} has no {needs}: it did not finish. Go on with: sif search --resume {path}")
            raise RunError(f"{path} is not a run directory: it has no {needs}")
        return cls(path)

    def write_recipe(self, values: Mapping[str, Any]) -> None:
        """Write a resolved recipe: every value that is used, files by their absolute paths."""
        again = f"sif search --recipe {self.path}/recipe.toml"
        header = f"# Resolved by sif: every value of this run. Run it again with: {again}\n"
        values = dict(values)
        for key in ("dataset", "valid", "test", "table"):
            if values.get(key) and (Path(values[key]).exists() or has_magic(values[key])):  # a glob of part files
                values[key] = str(Path(values[key]).resolve())
        self.write("recipe.toml", header + dump_toml(values))

    def genotype(self) -> Genotype:
        """Return what was found; raises `RunError` of a run that hands over a rival and found no architecture."""
        finished = not (self.path / "genotype.json").is_file() and self.finished
        if finished and (handed := self.result().get("handed")):
            raise RunError(f"run {self.path} hands over {handed['formula']}, a rival: it is no architecture")
        try:
            return Genotype.from_json(self.file("genotype.json").read_text())
        except GenotypeError as error:
            raise RunError(f"{self.path / 'genotype.json'}: {error}") from None

    def result(self) -> dict[str, Any]:
        """Return result.json as plain data."""
        try:
            data: dict[str, Any] = upgraded(json.loads(self.file("result.json").read_text()))
        except json.JSONDecodeError as error:
            raise RunError(f"{self.path / 'result.json'} is damaged at line {error.lineno}: {error.msg}") from None
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            raise RunError(
                f"{self.path / 'result.json'} has schema version {version}, this sif reads {SCHEMA_VERSION}; "
                "use the sif that wrote it, or search again"
            )
        return data

    def lists(self) -> "RunDirectory":
        """Return the run that orders lists: the one inside, where a study searched both goals, else this one."""
        if self.result().get("ranking") is None:
            return self
        return RunDirectory.open(self.path / RANKING_FOLDER, needs="result.json")

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
        if not (self.path / "checkpoint" / STEPS).is_file():  # of a study
            shutil.rmtree(self.path / "checkpoint", ignore_errors=True)
        for left in self.path.glob(".*"):
            if re.fullmatch(_TEMPORARY, left.name):
                left.unlink(missing_ok=True)

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return (self.path / "result.json").is_file()


def _of_a_kill(name: str) -> bool:
    """Return whether a file is what a search leaves that was killed before it had written anything."""
    return name == LOCK or re.fullmatch(_TEMPORARY, name) is not None


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

    def __init__(self, directory: RunDirectory, keep: TemporaryFolder | None = None) -> None:
        """Open the run in `directory`; `keep` is a temporary folder that lives as long as this object."""
        self.directory = RunDirectory(directory.path.absolute())  # the program may change its working directory
        self._keep = keep
        self.result = directory.result()
        self._genotype = directory.genotype() if self.result["genotype"] else None

    @property
    def genotype(self) -> Genotype:
        """What was found; raises `RunError` of a run that hands over a rival and found no architecture."""
        return self.directory.genotype() if self._genotype is None else self._genotype

    @property
    def handed(self) -> dict[str, Any] | None:
        """The rival that the run hands over, with its settings; None where that is the architecture it found."""
        told: dict[str, Any] | None = self.result.get("handed")
        return told

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading and cutting the data found odd, or decided, one sentence each; the command line prints them."""
        return tuple(notes_of(self.result))

    def save(self, path: str | Path) -> Path:
        """Copy the run directory to `path`, which must not exist."""
        if Path(path).exists():
            raise RunError(f"{path} exists; give a path that does not")
        return Path(shutil.copytree(self.path, path))

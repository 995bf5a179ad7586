"""Finished pieces of work in a folder, each done once: how searches, trainings, comparisons, races and tables go on."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sif.checkpoint import load_tree, save_tree, write_atomically
from sif.errors import RunError, SifError
from sif.lock import LOCK, alone

__all__ = ["TERMS", "Journal"]

TERMS = "terms.json"
"""The file of a journal's folder that says what all of its pieces depend on."""
Save = Callable[[Any], None]


class Journal:
    """A folder of finished pieces of work: a finished one is read back, the one that was at work goes on.

    Of a piece `NAME-KEY.safetensors` is the outcome and `NAME-KEY.partial.safetensors` the last state that was saved;
    the key changes with all that the piece depends on. A file is written whole or not at all, so that a kill at any
    moment costs what was done since the last save. A file that is damaged all the same counts as none: its piece is
    done again.
    """

    def __init__(
        self, folder: Path, noun: str = "work", fix: str = "give another folder", error: type[SifError] = RunError
    ) -> None:
        """Make the folder where there is none.

        Args:
            folder: where the pieces are kept.
            noun: what they make together, for messages.
            fix: what to do where the folder is another's.
            error: the class of what is raised then.
        """
        self.folder, self._noun, self._fix, self._error = folder, noun, fix, error
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise error(f"{folder} is a file, and no folder of a {noun}; {fix}") from None
        except OSError as problem:
            raise error(f"cannot make the folder {folder}: {problem.strerror}; {fix}") from None

    def check(self, terms: Mapping[str, Any]) -> None:
        """Keep what all pieces depend on, and remove what kills left half-written; the caller has the folder alone.

        Raises the journal's error where the folder was begun on other terms, or is of something else.
        """
        note, now = self.folder / TERMS, json.loads(json.dumps(terms))
        if note.is_file():
            try:
                changed = _changed(json.loads(note.read_text(encoding="utf-8")), now)
            except ValueError:
                changed = [f"its {TERMS} is damaged"]
            if changed:
                raise self._error(f"{self.folder} holds another {self._noun}: {'; '.join(changed)}; {self._fix}")
        elif any(not path.name.startswith(".") for path in self.folder.iterdir()):
            raise self._error(f"{self.folder} exists and holds no {self._noun} of this version of sif; {self._fix}")
        else:
            write_atomically(note, json.dumps(now, indent=2) + "\n", fix=self._fix)
        self.sweep()

    @contextmanager
    def opened(self, terms: Mapping[str, Any], doing: str) -> Iterator["Journal"]:
        """Have the folder alone for a block, on these terms (see `check`)."""
        with alone(self.folder, doing):
            self.check(terms)
            yield self

    def run(self, name: str, compute: Callable[[Save, Any], Any], depends: Any = None) -> Any:
        """Return the outcome of a piece, as it comes from its file.

        Args:
            name: of the piece.
            compute: `compute(save, resume)` does it; `save(state)` keeps a state, and `resume` is the last that was
                kept, or None. States and outcomes are trees of tensors, numbers, strings and None.
            depends: plain data; a piece of the same name that depends on other data is another piece.
        """
        done, partial = self._files(name, depends)
        known = _read(done)
        if known is None:
            save_tree(done, compute(lambda state: save_tree(partial, state), _read(partial)))
            known = load_tree(done)
        partial.unlink(missing_ok=True)
        return known

    def once(self, name: str, make: Callable[[], Any], depends: Any = None) -> Any:
        """Return the outcome of a piece that has no states to go on from; see `run`."""
        return self.run(name, lambda save, resume: make(), depends)

    def outcomes(self) -> Iterator[Any]:
        """Yield the outcome of every finished piece that is whole, in the order of their files' names."""
        for path in sorted(self.folder.glob("*.safetensors")):
            if not path.name.endswith(".partial.safetensors") and (known := _read(path)) is not None:
                yield known

    def clear(self) -> None:
        """Remove the folder: what its pieces were made for is whole."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what kills left half-written."""
        for left in self.folder.glob(".*"):
            if left.name != LOCK:
                left.unlink(missing_ok=True)

    def _files(self, name: str, depends: Any) -> tuple[Path, Path]:
        """Return the files of outcome and state; what the text of the name does not tell apart, the key does."""
        key = hashlib.sha256(json.dumps([name, depends]).encode()).hexdigest()[:12]
        stem = re.sub(r"[^\w.=-]+", "-", name, flags=re.ASCII).lstrip(".")[:80]
        return self.folder / f"{stem}-{key}.safetensors", self.folder / f"{stem}-{key}.partial.safetensors"


def _read(path: Path) -> Any:
    """Return what a file holds; None where there is none, or only a part of one."""
    try:
        return load_tree(path) if path.is_file() else None
    except RunError:
        return None


def _changed(then: Any, now: Any, where: str = "") -> list[str]:
    """Return what differs, each with its key and, where that is short, both values."""
    if isinstance(then, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*now, *then])
        parts = (_changed(then.get(key), now.get(key), f"{where}.{key}".lstrip(".")) for key in keys)
        return [text for part in parts for text in part]
    if json.dumps(then) == json.dumps(now):
        return []
    short = len(json.dumps([then, now])) < 120
    return [f"{where} is {json.dumps(now)}, was {json.dumps(then)}" if short else f"{where} differs"]

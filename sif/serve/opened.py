"""A run opened for serving: read once, kept, and read again when a file of it was replaced."""

import json
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from sif.checkpoint import load_tree
from sif.datasets import RawId, Vocabulary
from sif.errors import DataError, RunError
from sif.host import shielded
from sif.run_directory import RunDirectory
from sif.serve.model import ServedModel, opened_model
from sif.serve.topk import Ranked
from sif.tasks import Scale

__all__ = ["Opened", "Opener"]

IntArray = NDArray[np.int64]
_FILES = ("model.safetensors", "ids.json", "seen.npz")


@dataclass(frozen=True)
class Opened:
    """All that recommending from a run needs.

    `rows`: the number of each user, by the id's text. `seen` CSR `[users, items]`: what each user has. `cold` bool
    `[items]`: items without any interaction in training. `titles` by item number. `contexts` None without a context
    mode.
    """

    stamp: tuple[tuple[int, int, int], ...]
    users: Vocabulary
    items: Vocabulary
    rows: Mapping[str, int]
    item_ids: list[RawId]
    titles: list[str | None] | None
    seen: sparse.csr_array
    cold: NDArray[np.bool_]
    mean: float
    std: float
    contexts: Vocabulary | None
    model: ServedModel

    def row_of(self, user: Any) -> int:
        """Return the number of a raw id; raises `DataError` naming the nearest for an unknown one, or for no id."""
        flag, text = isinstance(user, bool | np.bool_), str(user)
        row = None if flag else self.rows.get(text, self.rows.get(text.strip()))
        if row is not None:
            return row
        if isinstance(user, float | np.floating) and float(user).is_integer():  # a column with a gap makes floats
            return self.row_of(int(user))
        if user is None or flag or isinstance(user, float | np.floating) or np.ndim(user):
            raise DataError(f"user = {user!r}; give one id, as in the data")
        return self.users.find(text, "user")

    def best(self, rows: IntArray, k: int, context: Any, cold_items: bool) -> Ranked:
        """Return ids int32 and scores float32 `[users, k]` of the best items that the users do not have.

        Args:
            rows: Numbers of the users, int64 `[users]`.
            k: How many items.
            context: The context; None: the last.
            cold_items: Whether to rank items that training never met.
        """
        excluded = None if cold_items else np.flatnonzero(self.cold)
        if len(rows) == 1:  # slicing the matrix would take longer than the rest
            start, end = self.seen.indptr[rows[0]], self.seen.indptr[rows[0] + 1]
            own = self.seen.indices[start:end].astype(np.int64)
            seen, excluded = None, own if excluded is None else np.concatenate([own, excluded])
        else:
            seen = self.seen[rows]
        form: Any = self.model.form
        if self.contexts is not None and hasattr(form, "at"):
            form = form.at(self._mode(context))
        ids, scores = form.top_k(torch.from_numpy(rows), k, seen=seen, excluded=excluded)
        return ids, scores * np.float32(self.std) + np.float32(self.mean)

    def _mode(self, context: Any) -> int:
        assert self.contexts is not None
        return len(self.contexts) - 1 if context is None else self.contexts.find(str(context), "context")


class Opener:
    """Opens the run in a folder when it is first asked for, and again when a file was replaced; for any thread."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._opened: Opened | None = None

    def __reduce__(self) -> "tuple[type[Opener], tuple[Path]]":
        return Opener, (self._path,)

    def now(self) -> Opened:
        """Return the run as it is on disk; raises `RunError` when a file is gone or damaged."""
        opened, stamp = self._opened, self._stamp()
        if opened is None or opened.stamp != stamp:
            with self._lock:
                opened = self._opened
                if opened is None or opened.stamp != stamp:
                    opened = self._opened = _open(self._path, stamp)
        return opened

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        try:
            found = [(self._path / name).stat() for name in _FILES]
        except OSError:
            for name in _FILES:
                RunDirectory(self._path).file(name)
            raise
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)


@shielded(draws=True)
def _open(path: Path, stamp: tuple[tuple[int, int, int], ...]) -> Opened:
    tree = load_tree(path / "model.safetensors")
    if tree.get("counts") is None:
        raise RunError(f"the model of run {path} is of an older sif; train it again: sif train {path}")
    try:
        ids = json.loads((path / "ids.json").read_text(encoding="utf-8"))
        users, items = Vocabulary.from_list(ids["users"]), Vocabulary.from_list(ids["items"])
        contexts = Vocabulary.from_list(ids["contexts"]) if ids.get("contexts") else None
        seen = sparse.csr_array(sparse.load_npz(path / "seen.npz"))
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise RunError(
            f"ids.json or seen.npz of run {path} is damaged: {error}; bring it back, or search again"
        ) from None
    try:
        model = opened_model(tree)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(
            f"model.safetensors of run {path} is damaged, or of another version of sif ({error}); "
            "bring it back, or search again"
        ) from None
    titles, item_ids = ids.get("titles") or {}, items.to_list()
    scale = model.objective.units or Scale(0.0, 1.0, -np.inf, np.inf)
    return Opened(
        stamp=stamp,
        users=users,
        items=items,
        rows={str(user): row for row, user in enumerate(ids["users"])},
        item_ids=item_ids,
        titles=[titles.get(str(item)) for item in item_ids] if titles else None,
        seen=seen,
        cold=(tree["counts"][model.sizes[0] :][: len(item_ids)] == 0).numpy(),
        mean=scale.mean,
        std=scale.std,
        contexts=contexts,
        model=model,
    )

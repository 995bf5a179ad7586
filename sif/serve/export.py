"""A model taken out of its run: folded tables with the raw ids, as a file that needs no run and no training data."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from nasp_core.errors import SpaceError
from sif.checkpoint import load_tree, write_atomically
from sif.datasets import RawId, Vocabulary
from sif.errors import RunError
from sif.host import shielded
from sif.operations import operation
from sif.run_directory import RunDirectory
from sif.serve.asked import count_of, in_a_list
from sif.serve.export_formats import implicit_file, npz_file, read_npz, read_safetensors, safetensors_file
from sif.serve.export_onnx import onnx_file
from sif.serve.folding import Folded, as_folded
from sif.serve.forms import Served
from sif.serve.model import opened_model
from sif.spaces.known import SPACES

__all__ = ["FORMATS", "Export", "export_run", "load_export", "write_export"]

FORMATS: Mapping[str, str] = {
    "npz": ".npz",
    "safetensors": ".safetensors",
    "onnx": ".onnx",
    "implicit": "-implicit.npz",
}
"""The formats by name, and how their files end by default."""


@dataclass(frozen=True)
class Export:
    """A model as it is served, the raw ids of its users and items by number, titles, and facts about it.

    `facts`: `genotype` (None of a rival, which `rival` names), `formula`, `task`, `metrics`, `dataset` and `scale`: how
    ratings were standardised, as `mean` and `std`, None where scores only rank.
    """

    served: Served
    users: Vocabulary
    items: Vocabulary
    titles: Mapping[str, str]
    facts: Mapping[str, Any]

    @classmethod
    @shielded(draws=True)
    def of(cls, run: str | Path, *, ratings: bool = False) -> "Export":
        """Take the model of a finished run of ratings or rankings; of two the one that orders lists.

        Args:
            run: The run directory.
            ratings: Whether to take the model that predicts ratings, of two.

        Raises:
            RunError: The run is of cells, or has a context mode.
        """
        directory = RunDirectory.open(run, needs="result.json")
        directory = directory if ratings else directory.lists()
        result = directory.result()
        if (directory.path / "genotype.json").is_file() and directory.genotype().space not in SPACES:
            raise RunError(f"run {run} is of cells; only recommenders can be exported")
        model = opened_model(load_tree(directory.file("model.safetensors")))
        if len(model.sizes) != 2:
            raise RunError(f"run {run} has a context mode, which does not fold; search without a context to export")
        ids = json.loads(directory.file("ids.json").read_text())
        units = model.objective.units
        facts = {
            "genotype": None if model.genotype is None else json.loads(model.genotype.to_json()),
            "formula": model.formula,
            "task": result["task"],
            "metrics": result["metrics"],
            "dataset": {key: result["dataset"].get(key) for key in ("name", "source", "fingerprint")},
            "scale": None if units is None else {"mean": units.mean, "std": units.std},
        }
        facts |= {} if model.rival is None else {"rival": dict(model.rival)}
        users, items = Vocabulary.from_list(ids["users"]), Vocabulary.from_list(ids["items"])
        return cls(model.form, users, items, ids.get("titles") or {}, facts)

    @property
    def folded(self) -> Folded:
        """The tables of a function or of factors; raises `RunError` where the model is none of these."""
        return as_folded(self.served)

    @shielded()
    def scores(self, users: Iterable[RawId], items: Iterable[RawId] | None = None) -> Tensor:
        """Return the model's own scores float32 `[users, items]`; `ratings = scores * std + mean` of `facts["scale"]`.

        Args:
            users: Raw ids.
            items: Raw ids, in the order of the columns; None: all.

        Raises:
            DataError: An id is unknown.
        """
        wanted = None if items is None else self._numbers(self.items, items, "item")
        return self.served.scores(self._numbers(self.users, users, "user"), wanted)

    @shielded()
    def recommend(self, user: RawId, k: int = 10, *, seen: Iterable[RawId] = ()) -> list[dict[str, Any]]:
        """Return the k best items: item (raw id), score (a rating where there are), title.

        Args:
            user: The raw id.
            k: How many items, at most.
            seen: Raw ids to leave out; unknown ones are ignored.

        Raises:
            DataError: The user is unknown, or k is below 1.
        """
        k = count_of(k, "k", len(self.items))
        row = torch.tensor([self.users.find(str(user), "user")])
        numbers = self.items.encode(in_a_list(seen, "item", "seen"))
        numbers = np.unique(numbers[numbers >= 0])
        has = sparse.csr_array(
            (np.ones(len(numbers), bool), numbers, np.array([0, len(numbers)])), shape=(1, len(self.items))
        )
        found, scores = self.served.top_k(row, k, seen=has)
        keep = found[0] >= 0
        scale = self.facts["scale"] or {"mean": 0.0, "std": 1.0}
        return [
            {"item": item, "score": float(score) * scale["std"] + scale["mean"], "title": self.titles.get(str(item))}
            for item, score in zip(self.items.decode(found[0][keep].astype(np.int64)), scores[0][keep], strict=True)
        ]

    @shielded()
    def write(self, path: str | Path, to: str, *, force: bool = False) -> Path:
        """Write the model, whole or not at all; return the path.

        Args:
            path: The file.
            to: One of `FORMATS`.
            force: Whether to replace a file.

        Raises:
            RunError: The file is there already, cannot be written, `implicit` is asked of a function that is no inner
                product, or `onnx` lacks its package.
        """
        if to not in FORMATS:
            raise RunError(f"unknown format {to!r}; there are {', '.join(FORMATS)}")
        make = {"npz": npz_file, "safetensors": safetensors_file, "onnx": onnx_file, "implicit": implicit_file}[to]
        return write_export(Path(path), lambda: make(self.served, self._meta()), force)

    def _meta(self) -> dict[str, Any]:
        users, items = self.users.to_list(), self.items.to_list()
        titles = [self.titles.get(str(item), "") for item in items] if self.titles else None
        return {"format": self.served.format, **self.facts, "users": users, "items": items, "titles": titles}

    @staticmethod
    def _numbers(known: Vocabulary, ids: Iterable[RawId], what: str) -> Tensor:
        wanted = in_a_list(ids, what, f"{what}s")
        numbers = known.encode(wanted)
        if (numbers < 0).any():
            known.find(str(wanted[int(np.argmax(numbers < 0))]), what)  # raises, naming the nearest
        return torch.from_numpy(numbers)


def write_export(path: Path, make: Callable[[], bytes], force: bool) -> Path:
    """Write a file whole or not at all.

    Args:
        path: The file.
        make: Returns its bytes.
        force: Whether to replace a file.

    Raises:
        RunError: The file is there already, or cannot be written.
    """
    if path.is_dir():
        raise RunError(f"{path} is a folder; give the name of a file")
    if path.exists() and not force:
        raise RunError(f"{path} exists; give another --out, or --force to replace it")
    write_atomically(path, make(), fix="give another --out")
    return path


def export_run(
    run: str | Path, to: str, out: str | Path | None = None, *, force: bool = False, ratings: bool = False
) -> tuple[Path, Export]:
    """Write the model of a run; return the path and what was written.

    Args:
        run: The run directory.
        to: One of `FORMATS`.
        out: The file; None: one named after the run in the working directory.
        force: Whether to replace a file.
        ratings: As in `Export.of`.

    Raises:
        RunError: As `Export.of` and `Export.write`.
    """
    if to not in FORMATS:
        raise RunError(f"unknown format {to!r}; there are {', '.join(FORMATS)}")
    export = Export.of(run, ratings=ratings)
    return export.write(out or Path(run).resolve().name + FORMATS[to], to, force=force), export


@shielded(draws=True)
def load_export(path: str | Path) -> Export:
    """Read what `sif export --to npz` or `--to safetensors` wrote; raises `RunError` for any other file."""
    path = Path(path)
    if not path.is_file():
        raise RunError(f"no file {path}; `sif export RUN --to npz` writes one")
    served, meta = (read_safetensors if path.suffix == ".safetensors" else read_npz)(path)
    for factor in served.tables.mlps if isinstance(served, Folded) else ():
        if ":" in factor.join:
            try:
                operation(factor.join)
            except SpaceError as error:
                raise RunError(f"{path} is served by an operation of one's own: {error}") from None
    users, items = Vocabulary.from_list(meta.pop("users")), Vocabulary.from_list(meta.pop("items"))
    listed = meta.pop("titles") or []
    titles = {str(item): title for item, title in zip(items.to_list(), listed, strict=False) if title}
    meta.pop("format")
    return Export(served, users, items, titles, meta)

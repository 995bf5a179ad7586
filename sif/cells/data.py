"""From a recipe of cells to its data: what is read, how it is cut, and the two tasks made of it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from nasp_core.types import Task
from sif.cells.fits import Stage, check_cells
from sif.cells.networks import CELL_TABLES
from sif.cells.recipes import CellRecipe
from sif.cells.truth import TrueAccuracies
from sif.device import resolve_device
from sif.errors import DataError, RecipeError
from sif.recipes.problems import problem_of

__all__ = ["CellData", "CellTask", "prepare_cells"]

_Split = Literal["train", "valid"]


class CellTask(Task, Protocol):
    """A task of cells."""

    test_reads: int

    def largest_batch(self, split: str) -> int:
        """Return the largest batch that a part fills."""
        ...


@dataclass
class CellData:
    """The data of a run, on the device.

    - `search`: the task of the search; `final`: that of the final training, which sees more and is augmented more.
    - `facts`: what the data decide about a network (classes and channels, or words).
    - `preparation`: how raw data become inputs: channel means and deviations with the classes, or the words in order.
    - `truth`: the true accuracies of all cells, where the recipe names a table of them.
    - `example`: one input of a network, to count its multiply-adds with; `per`: how many answers it asks for.
    """

    name: str
    search: CellTask
    final: CellTask
    facts: dict[str, int]
    example: Tensor
    per: int
    description: dict[str, Any]
    fingerprint: str
    device: torch.device
    preparation: dict[str, Any]
    truth: TrueAccuracies | None = None

    @property
    def judged(self) -> bool:
        """Whether the final training has a validation part."""
        return len(self.final.stream("valid", 1, 0)) > 0

    @property
    def test_reads(self) -> int:
        """How often a test part was read."""
        return self.search.test_reads + self.final.test_reads


def prepare_cells(
    recipe: CellRecipe, *, source: Any = None, device: str = "auto", root: Path | None = None, table: bool = True
) -> CellData:
    """Read, check and cut the data a recipe names; `source` (`Pictures`, `Corpus`, or a path) stands in for them.

    Without `table` they are for training alone: the table of true accuracies that a recipe may name is not read.
    """
    where = resolve_device(device)
    given = recipe.dataset if source is None else source
    if not given:
        raise RecipeError(f"{recipe.origin} names no data; give a data set or a folder: --data FOLDER")
    named = recipe.accuracies() if table else ""
    truth = CELL_TABLES[recipe.space.name].read(named) if named else None  # before the data: it is quickly refused
    data: CellData = problem_of(recipe).read(recipe, given, where, root)
    return replace(_checked(recipe, data, table), truth=truth)


def _checked(recipe: CellRecipe, data: CellData, searches: bool) -> CellData:
    """Tell before anything what parts are too small for their batches, and what networks too large for the machine."""
    plans: tuple[tuple[Stage, CellTask, tuple[_Split, ...]], ...]
    plans = (("search", data.search, ("train", "valid")), ("train", data.final, ("train",)))
    problems = list[str]()
    for which, task, splits in plans:
        key, size = f"{which}.batch_size", recipe.training(which).batch_size
        try:
            counts = [len(task.stream(split, size, 0)) for split in splits]
        except DataError as error:
            most = min(task.largest_batch(split) for split in splits)
            fix = f"; --set {key}={most} fits" if most else "; more text is needed"
            problems.append(recipe.problem(key, str(error).partition("\n")[0] + fix))
            continue
        if not all(counts):
            why = "it leaves the search no pictures to choose the architecture on; --set pictures.share=0.5 halves them"
            problems.append(recipe.problem("pictures.share", why))
    recipe.refuse(problems)
    trains: tuple[Stage, ...] = ("train",) if recipe.retrain or not searches else ()
    check_cells(recipe, data.facts, data.example, (*(("search",) if searches else ()), *trains))
    return data

"""From a recipe of cells to its data: what is read, how it is cut, and the two tasks made of it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor

from nasp_core.types import Task
from sif.cells.convolution.task import Augment, Cut, ImageTask, cut_training
from sif.cells.fits import Stage, check_cells
from sif.cells.recipes import CellRecipe, ConvCellRecipe, NasBench201Recipe, RecurrentCellRecipe
from sif.cells.recurrent.task import TextTask
from sif.cells.truth import TrueAccuracies
from sif.datasets.corpora import Corpus, read_corpus
from sif.datasets.pictures import Pictures, read_pictures
from sif.device import resolve_device
from sif.errors import DataError, RecipeError

__all__ = ["CellData", "prepare_cells"]

_Split = Literal["train", "valid"]


@dataclass
class CellData:
    """The data of a run, on the device.

    - `search`: the task of the search; `final`: that of the final training, which sees more and is augmented more.
    - `facts`: what the data decide about a network (classes and channels, or words).
    - `names`: of the classes, or the words, by number.
    - `truth`: the true accuracies of all cells, where the recipe names a table of them.
    - `example`: one input of a network, to count its multiply-adds with; `per`: how many answers it asks for.
    """

    name: str
    search: ImageTask | TextTask
    final: ImageTask | TextTask
    facts: dict[str, int]
    example: Tensor
    per: int
    description: dict[str, Any]
    fingerprint: str
    device: torch.device
    names: tuple[str, ...]
    truth: TrueAccuracies | None = None

    @property
    def judged(self) -> bool:
        """Whether the final training has a validation part."""
        return len(cast(Task, self.final).stream("valid", 1, 0)) > 0

    def preparation(self) -> dict[str, Any]:
        """Return how raw data become inputs of the network: channel means and deviations, or the words in order."""
        if isinstance(self.final, ImageTask):
            return {"mean": self.final.mean.tolist(), "std": self.final.std.tolist(), "classes": list(self.names)}
        return {"words": list(self.names)}

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
    if isinstance(recipe, ConvCellRecipe | NasBench201Recipe):
        named = recipe.table if table and isinstance(recipe, NasBench201Recipe) else ""
        truth = TrueAccuracies.read(named) if named else None  # before the pictures: it is quickly refused
        size = recipe.pictures.size
        pictures = read_pictures(given, root, seed=recipe.seed, size=size) if isinstance(given, str | Path) else given
        return replace(_checked(recipe, _pictures(recipe, pictures, where), table), truth=truth)
    assert isinstance(recipe, RecurrentCellRecipe)
    corpus = read_corpus(given, root, vocabulary=recipe.text.vocabulary, min_count=recipe.text.min_count)
    return _checked(recipe, _words(recipe, corpus, where), table)


def _checked(recipe: CellRecipe, data: CellData, searches: bool) -> CellData:
    """Tell before anything what parts are too small for their batches, and what networks too large for the machine."""
    plans: tuple[tuple[Stage, ImageTask | TextTask, tuple[_Split, ...]], ...]
    plans = (("search", data.search, ("train", "valid")), ("train", data.final, ("train",)))
    problems = list[str]()
    for which, task, splits in plans:
        key, size = f"{which}.batch_size", recipe.training(which).batch_size
        try:
            counts = [len(task.stream(split, size, 0)) for split in splits]
        except DataError as error:
            most = min(task.most_columns(split) for split in splits) if isinstance(task, TextTask) else 1
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


def _words(recipe: RecurrentCellRecipe, corpus: Corpus, where: torch.device) -> CellData:
    text = recipe.text
    return CellData(
        name=corpus.name,
        search=_text(recipe, corpus, where),
        final=_text(recipe, corpus, where, random_windows=text.random_windows),
        facts={"vocabulary": len(corpus.words)},
        example=torch.zeros(text.window, 1, dtype=torch.int64, device=where),
        per=text.window,
        description=corpus.describe(),
        fingerprint=corpus.fingerprint(),
        device=where,
        names=corpus.words,
    )


def _text(recipe: RecurrentCellRecipe, corpus: Corpus, device: torch.device, random_windows: bool = False) -> TextTask:
    cut = recipe.text
    return TextTask(
        corpus,
        device=device,
        window=cut.window,
        random_windows=random_windows,
        limit=cut.limit,
        evaluation_limit=cut.evaluation_limit,
    )


def _pictures(recipe: ConvCellRecipe | NasBench201Recipe, pictures: Pictures, device: torch.device) -> CellData:
    cut, (parts, flip, notes) = recipe.pictures, _fitted(recipe, pictures)
    final = torch.cat([parts.weights, parts.architecture])
    some = pictures if cut.test_limit is None else pictures.first_of_test(cut.test_limit)
    plain = Augment(crop=cut.crop, flip=flip)
    full = Augment(crop=cut.crop, flip=flip, cutout=cut.cutout)
    channels, height, width = pictures.train.shape[1:]
    return CellData(
        name=pictures.name,
        search=ImageTask(some, train=parts.weights, valid=parts.architecture, device=device, augment=plain),
        final=ImageTask(
            some, train=final, valid=parts.held_out, device=device, augment=full, label_smoothing=cut.label_smoothing
        ),
        facts={"classes": len(pictures.classes), "in_channels": channels},
        example=torch.zeros(1, channels, height, width, device=device),
        per=1,
        description=pictures.describe()
        | {"search": [len(part) for part in parts[:2]], "final": len(final), "holdout": len(parts.held_out)}
        | {"test": len(some.test), "notes": [*pictures.notes, *notes]},
        fingerprint=pictures.fingerprint(),
        device=device,
        names=pictures.classes,
    )


def _fitted(recipe: ConvCellRecipe | NasBench201Recipe, pictures: Pictures) -> tuple[Cut, bool, list[str]]:
    """Cut the training pictures; values that the recipe states for larger or other data give way, with a note."""
    cut, count, notes = recipe.pictures, len(pictures.train), list[str]()
    limit = None if cut.limit is None or cut.limit >= count else cut.limit
    used, holdout, flip = limit or count, cut.holdout, cut.flip
    scaled = max(1, holdout * used // cut.limit if cut.limit is not None and used < cut.limit else used // 5)
    if 2 * holdout > used and not recipe.was_set("pictures.holdout"):
        notes.append(f"{scaled} of {used} training pictures are held out, and not {holdout}: --set pictures.holdout=N")
        holdout = scaled
    if flip and pictures.shape[1] == 1 and not recipe.was_set("pictures.flip"):
        notes.append("series are not mirrored; --set pictures.flip=true does")
        flip = False
    if used < holdout + 2:
        fix = f"--set pictures.holdout={scaled} fits" if used > 2 else "more pictures are needed"
        why = f"{pictures.name} has {used} training pictures to use, and 2 must remain; {fix}"
        recipe.refuse([recipe.problem("pictures.holdout", why)])
    return cut_training(pictures, recipe.seed, cut.share, limit, holdout), flip, notes

"""From a recipe of cells on pictures to its data and its two tasks."""

from pathlib import Path
from typing import Any

import torch

from sif.cells.convolution.task import Augment, Cut, ImageTask, cut_training
from sif.cells.data import CellData
from sif.cells.recipes import ImageRecipe
from sif.datasets.pictures import Pictures, read_pictures

__all__ = ["cut_pictures"]


def cut_pictures(recipe: ImageRecipe, given: Any, device: torch.device, root: Path | None) -> CellData:
    """Return the pictures that a recipe names (or `given` are), cut into parts, on a device."""
    size = recipe.pictures.size
    pictures = read_pictures(given, root, seed=recipe.seed, size=size) if isinstance(given, str | Path) else given
    cut, (parts, flip, notes) = recipe.pictures, _fitted(recipe, pictures)
    final = torch.cat([parts.weights, parts.architecture])
    some = pictures if cut.test_limit is None else pictures.first_of_test(cut.test_limit)
    plain = Augment(crop=cut.crop, flip=flip)
    full = Augment(crop=cut.crop, flip=flip, cutout=cut.cutout)
    channels, height, width = pictures.train.shape[1:]
    task = ImageTask(
        some, train=final, valid=parts.held_out, device=device, augment=full, label_smoothing=cut.label_smoothing
    )
    return CellData(
        name=pictures.name,
        search=ImageTask(some, train=parts.weights, valid=parts.architecture, device=device, augment=plain),
        final=task,
        facts={"classes": len(pictures.classes), "in_channels": channels},
        example=torch.zeros(1, channels, height, width, device=device),
        per=1,
        description=pictures.describe()
        | {"search": [len(part) for part in parts[:2]], "final": len(final), "holdout": len(parts.held_out)}
        | {"test": len(some.test), "notes": [*pictures.notes, *notes]},
        fingerprint=pictures.fingerprint(),
        device=device,
        preparation={"mean": task.mean.tolist(), "std": task.std.tolist(), "classes": list(pictures.classes)},
    )


def _fitted(recipe: ImageRecipe, pictures: Pictures) -> tuple[Cut, bool, list[str]]:
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

"""What a reader of pictures gives: arrays, before they become `Pictures`."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nasp_core.types import derive_seed
from sif.errors import DataError

__all__ = ["Raw", "check_labels", "cut_test"]

_TEST_SHARE = 5  # one picture in so many of each class becomes the test part, where there is none


class Raw(NamedTuple):
    """Pictures uint8 (or float32) [n, C, H, W] and labels int64 [n] of both parts, names of the classes, and notes."""

    classes: tuple[str, ...]
    train: NDArray[Any]
    train_labels: NDArray[np.int64]
    test: NDArray[Any]
    test_labels: NDArray[np.int64]
    notes: tuple[str, ...] = ()


def check_labels(labels: NDArray[Any], classes: int, where: str) -> NDArray[np.int64]:
    """Return labels as int64 [n]; DataError names the first one outside 0..classes-1 and how many there are."""
    bad = np.flatnonzero(labels >= classes)
    if len(bad):
        more = f" (and {len(bad) - 1} more like it)" if len(bad) > 1 else ""
        raise DataError(
            f"{where}: picture {bad[0] + 1} has the label {labels[bad[0]]}, the classes are 0 to {classes - 1}{more}\n"
            "  The file is damaged or of another data set: fetch it again."
        )
    return labels.astype(np.int64)


def cut_test(labels: NDArray[np.int64], classes: tuple[str, ...], where: str, seed: int) -> tuple[NDArray[Any], str]:
    """Draw a test part where data have none: a fifth of each class, at least one picture, and a note that says so.

    Returns a mask [n] of the pictures that are for testing. Raises DataError where a class has one picture alone.
    """
    counts = np.bincount(labels, minlength=len(classes))
    if counts.min() < 2:
        lone = [name for name, count in zip(classes, counts, strict=True) if count < 2]
        raise DataError(
            f"{where} has no test part, and none can be drawn: the class{'es' if len(lone) > 1 else ''} "
            f"{', '.join(lone[:5])}{' and more' if len(lone) > 5 else ''} "
            f"ha{'ve' if len(lone) > 1 else 's'} fewer than 2 pictures\n"
            "  Give each class 2 pictures or more, or a test part of its own."
        )
    generator = torch.Generator().manual_seed(derive_seed(seed, "test part"))
    chosen = np.zeros(len(labels), bool)
    for label, count in enumerate(counts):
        order = torch.randperm(int(count), generator=generator).numpy()
        chosen[np.flatnonzero(labels == label)[order[: max(1, round(count / _TEST_SHARE))]]] = True
    count = f"{chosen.sum()} of {len(labels)} pictures, a fifth of each class"
    return chosen, f"no test part: {count}, were drawn for it (seed {seed})"

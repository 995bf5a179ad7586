"""What a reader of pictures gives: arrays, before they become `Pictures`."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sif.errors import DataError

__all__ = ["Raw", "check_labels"]


class Raw(NamedTuple):
    """Pictures uint8 [n, C, H, W] and labels int64 [n] of both parts, and the names of the classes."""

    classes: tuple[str, ...]
    train: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


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

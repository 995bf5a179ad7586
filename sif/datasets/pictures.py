"""Pictures with one class each, in memory as bytes: CIFAR, Fashion-MNIST, Tiny ImageNet, folders of one's own."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sif.datasets.bundle import Bundle, altered, located
from sif.datasets.entries import PicturesEntry
from sif.datasets.files import is_archive
from sif.datasets.images.arrays import as_raw, is_arrays, read_arrays, twins
from sif.datasets.images.cifar import is_cifar, read_cifar, refuse_pickled
from sif.datasets.images.folders import is_folders, read_folders
from sif.datasets.images.idx import is_idx, read_idx
from sif.datasets.images.raw import Raw
from sif.datasets.kinds import other_kind
from sif.errors import DataError

__all__ = ["Pictures", "read_pictures"]


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Pictures of one size with one class each, in the order of the files.

    Shapes: train, test uint8 [n, C, H, W], or float32 (which training standardises); train_labels, test_labels int64
    [n] in 0..len(classes)-1. `notes` say, one sentence each, what reading found odd but usable.
    Raises DataError where shapes, types or labels disagree, where a part is empty, and for NaN and infinity.
    """

    name: str
    classes: tuple[str, ...]
    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    source: str = "memory"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part, pictures, labels in (
            ("train", self.train, self.train_labels),
            ("test", self.test, self.test_labels),
        ):
            if pictures.dtype not in (torch.uint8, torch.float32) or pictures.ndim != 4 or not pictures.numel():
                raise DataError(
                    f"{self.name}: {part} is {pictures.dtype} {list(pictures.shape)}, pictures are uint8 or float32 "
                    "[n, C, H, W]"
                )
            if not bool(pictures.isfinite().all()):
                first = (~pictures.isfinite()).nonzero()[0].tolist()
                raise DataError(
                    f"{self.name}: {part}{first} is {pictures[tuple(first)].item()}\n  Put a finite number there, or "
                    f"leave picture {first[0]} out."
                )
            if labels.dtype != torch.int64 or labels.shape != pictures.shape[:1]:
                raise DataError(
                    f"{self.name}: the labels of {part} are {labels.dtype} {list(labels.shape)}, "
                    f"{len(pictures)} pictures need int64 [{len(pictures)}]"
                )
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= len(self.classes):
                raise DataError(
                    f"{self.name}: {part} has the label {low if low < 0 else high}, "
                    f"the classes are 0 to {len(self.classes) - 1}"
                )
        if self.train.shape[1:] != self.test.shape[1:] or self.train.dtype != self.test.dtype:
            train, test = (f"{part.dtype} {list(part.shape[1:])}" for part in (self.train, self.test))
            raise DataError(f"{self.name}: train has {train}, test {test}")

    @classmethod
    def from_arrays(
        cls,
        train: Any,
        train_labels: Any,
        test: Any = None,
        test_labels: Any = None,
        *,
        classes: Sequence[str] | None = None,
        name: str = "arrays",
        seed: int = 0,
    ) -> "Pictures":
        """Take pictures or series from arrays (numpy, torch, nested lists), and check them.

        Args:
            train: uint8 pictures [n, C, H, W], [n, H, W, C] of 1, 3 or 4 channels, or [n, H, W] (grey). Numbers of
                any other type become float32 and are standardised in training; without four dimensions they are series
                [n, length] or [n, channels, length], read as pictures of one row.
            train_labels: [n] whole numbers or names.
            test: The test part, in the form of `train`; None draws a fifth of each class.
            test_labels: Its labels.
            classes: Names of the classes 0, 1, ...; None takes the labels of `train`, sorted.
            name: What the data are called.
            seed: Draws the test part.

        Returns:
            The pictures; `notes` say how the arrays were read.

        Raises:
            DataError: For arrays of other shapes or types, NaN or infinity, and labels that do not fit.
        """
        raw = as_raw({"train": (train, train_labels), "test": (test, test_labels)}, classes, name, seed)
        return cls._of(name, raw, "memory", (*raw.notes, *twins(raw)))

    @classmethod
    def _of(cls, name: str, raw: Raw, source: str, notes: tuple[str, ...]) -> "Pictures":
        train, labels, test, test_labels = (torch.from_numpy(np.require(part, None, ["C", "W"])) for part in raw[1:5])
        return cls(name, raw.classes, train, labels, test, test_labels, source, notes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every picture."""
        channels, height, width = self.train.shape[1:]
        return channels, height, width

    def first_of_test(self, count: int) -> "Pictures":
        """Return these pictures with the first `count` of the test part alone."""
        return replace(self, test=self.test[:count], test_labels=self.test_labels[:count])

    def describe(self) -> dict[str, Any]:
        """Return counts, size and classes as plain data, ready for JSON."""
        counts = torch.bincount(self.train_labels.cpu(), minlength=len(self.classes))
        return {
            "name": self.name,
            "source": self.source,
            "notes": list(self.notes),
            "train": len(self.train),
            "test": len(self.test),
            "shape": list(self.shape),
            "classes": len(self.classes),
            "class_names": list(self.classes),
            "train_per_class": {"min": int(counts.min()), "max": int(counts.max())},
        }

    def fingerprint(self) -> str:
        """Return 16 hex digits of a BLAKE2b over classes, shapes, pictures and labels, in the order of the files."""
        digest = hashlib.blake2b(json.dumps([*self.classes], ensure_ascii=True).encode(), digest_size=8)
        for values in (self.train, self.train_labels, self.test, self.test_labels):
            digest.update(f"\n{list(values.shape)}\n".encode())
            digest.update(values.cpu().contiguous().numpy().data)
        return digest.hexdigest()


def read_pictures(
    source: "str | Path | Pictures", root: Path | None = None, *, seed: int = 0, size: int | None = None
) -> Pictures:
    """Read pictures and check them.

    Known forms: CIFAR's binary records, the IDX files of MNIST and Fashion-MNIST, Tiny ImageNet, folders
    `train/<class>/` and `test/<class>/` (or `<class>/` alone) of picture files, arrays in `.npz` (see
    `Pictures.from_arrays`).

    Args:
        source: A folder or an archive (read as it is), or the name of a catalogued data set when no file has it.
        root: Where the files of a catalogued data set lie, or are fetched to.
        seed: Draws the test part of data that have none.
        size: Height and width that picture files are scaled to; None leaves them as they are, all of one size.

    Returns:
        The pictures; `notes` say what was left out, drawn or changed.

    Raises:
        DataError: Naming file, place and fix, for anything that cannot be used; pickled archives are refused.
    """
    if isinstance(source, Pictures):
        return source
    path, entry = located(source, PicturesEntry, root)
    if not path.is_dir() and not is_archive(path) and (other := other_kind(path, "pictures")):
        raise DataError(f"{path} holds no pictures{other}")
    with Bundle(path) as bundle:
        raw = _read(bundle, entry, seed, size)
        notes = (*raw.notes, *twins(raw)) if entry is None else altered(bundle, entry)
    name = entry.name if entry is not None else path.resolve().name.split(".")[0]
    made = Pictures._of(name, raw, str(path), notes)
    return made if entry is None else _check_whole(made, entry)


def _read(bundle: Bundle, entry: PicturesEntry | None, seed: int, size: int | None) -> Raw:
    refuse_pickled(bundle)
    if is_cifar(bundle):
        raw = read_cifar(bundle)
    elif is_idx(bundle):
        raw = read_idx(bundle, entry.classes if entry is not None else ())
    elif is_arrays(bundle):
        raw = read_arrays(bundle, seed)
    elif is_folders(bundle):
        return read_folders(bundle, seed, size)
    else:
        raise DataError(
            f"{bundle.path} holds no pictures in a form that is known here{other_kind(bundle.path, 'pictures')}\n"
            "  Give CIFAR's binary version, the IDX files of MNIST or Fashion-MNIST, a folder with train/<class>/*.jpg "
            "and test/<class>/*.jpg (or <class>/*.jpg alone), or an .npz with x_train, y_train, x_test and y_test."
        )
    if size is not None:
        raise DataError(
            f"{bundle.path} holds arrays, which are not scaled\n  Leave out pictures.size, or scale them before."
        )
    return raw


def _check_whole(made: Pictures, entry: PicturesEntry) -> Pictures:
    """A copy that was cut short, or edited, must not pass for the data set."""
    size = entry.size
    if (len(made.train), len(made.test), len(made.classes), made.shape) == (
        size.train,
        size.test,
        size.classes,
        size.shape,
    ):
        return made
    raise DataError(
        f"{made.source} is not {entry.title}: it has {len(made.train)} training and {len(made.test)} test pictures of "
        f"{' x '.join(map(str, made.shape))} in {len(made.classes)} classes, the data set has {size.train} and "
        f"{size.test} of {' x '.join(map(str, size.shape))} in {size.classes}\n"
        f"  Fetch {entry.url} again; data of your own reads from a folder of another name."
    )

"""Pictures with one class each, in memory as bytes: CIFAR, Fashion-MNIST, Tiny ImageNet, folders of one's own."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sif.datasets.bundle import Bundle, altered, located
from sif.datasets.entries import PicturesEntry
from sif.datasets.images.cifar import is_cifar, read_cifar, refuse_pickled
from sif.datasets.images.folders import is_folders, read_folders
from sif.datasets.images.idx import is_idx, read_idx
from sif.datasets.images.raw import Raw
from sif.errors import DataError

__all__ = ["Pictures", "read_pictures"]


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Pictures of one size with one class each, in the order of the files.

    Shapes: train, test uint8 [n, C, H, W]; train_labels, test_labels int64 [n] in 0..len(classes)-1.
    `notes` say, one sentence each, what reading found odd but usable.
    Raises DataError where shapes, types or labels disagree, and where a part is empty.
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
            if pictures.dtype != torch.uint8 or pictures.ndim != 4 or not pictures.numel():
                raise DataError(
                    f"{self.name}: {part} is {pictures.dtype} {list(pictures.shape)}, pictures are uint8 [n, C, H, W]"
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
        if self.train.shape[1:] != self.test.shape[1:]:
            raise DataError(f"{self.name}: train has {list(self.train.shape[1:])}, test {list(self.test.shape[1:])}")

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


def read_pictures(source: "str | Path | Pictures", root: Path | None = None) -> Pictures:
    """Read pictures and check them.

    `source` is a folder or an archive (read as it is), or the name of a catalogued data set when no file has it
    (fetched if need be, under `root`). Known forms: CIFAR's binary records, the IDX files of MNIST and Fashion-MNIST,
    folders `train/<class>/` and `test/<class>/` of JPEG or PNG files, Tiny ImageNet.

    Raises DataError, naming file, place and fix, for anything that cannot be used; pickled archives are refused.
    """
    if isinstance(source, Pictures):
        return source
    path, entry = located(source, PicturesEntry, root)
    with Bundle(path) as bundle:
        raw = _read(bundle, entry)
        notes = () if entry is None else altered(bundle, entry)
    name = entry.name if entry is not None else path.resolve().name.split(".")[0]
    train, train_labels, test, test_labels = (torch.from_numpy(np.require(part, None, ["C", "W"])) for part in raw[1:])
    made = Pictures(name, raw.classes, train, train_labels, test, test_labels, str(path), notes)
    return made if entry is None else _check_whole(made, entry)


def _read(bundle: Bundle, entry: PicturesEntry | None) -> Raw:
    refuse_pickled(bundle)
    if is_cifar(bundle):
        return read_cifar(bundle)
    if is_idx(bundle):
        return read_idx(bundle, entry.classes if entry is not None else ())
    if is_folders(bundle):
        return read_folders(bundle)
    raise DataError(
        f"{bundle.path} holds no pictures in a form that is known here\n"
        "  Give CIFAR's binary version, the IDX files of MNIST or Fashion-MNIST, or a folder with train/<class>/*.jpg "
        "and test/<class>/*.jpg."
    )


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

"""CIFAR-10 and CIFAR-100 as binary records: label bytes, then 3,072 bytes of red, green and blue."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sif.datasets.bundle import Bundle
from sif.datasets.images.raw import Raw, check_labels
from sif.errors import DataError

__all__ = ["is_cifar", "read_cifar", "refuse_pickled"]

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True, slots=True)
class _Layout:
    """The files of one of the two; the last label byte of a record is the (fine) class."""

    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int


_TEN = _Layout(tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin", "batches.meta.txt", 1)
_HUNDRED = _Layout(("train.bin",), "test.bin", "fine_label_names.txt", 2)

# What tells a pickled copy, and the archive to get instead.
_PICKLED = {
    "batches.meta": ("CIFAR-10", "cifar-10-binary.tar.gz"),
    "data_batch_1": ("CIFAR-10", "cifar-10-binary.tar.gz"),
    "meta": ("CIFAR-100", "cifar-100-binary.tar.gz"),
}


def refuse_pickled(bundle: Bundle) -> None:
    """Raise DataError, naming the file to get, for the version of CIFAR that is made of pickles."""
    names = bundle.names()
    for sign, (title, archive) in _PICKLED.items():
        if sign in names and (sign != "meta" or ("train" in names and not bundle.names("train"))):
            raise DataError(
                f"{bundle.path} is the pickled version of {title}, which is never read: unpickling a file can run any "
                f"code\n  Get the binary version, https://www.cs.toronto.edu/~kriz/{archive}, and give that "
                "(as it is, or unpacked)."
            )


def is_cifar(bundle: Bundle) -> bool:
    """Return whether there is any of the files of binary records."""
    names = set(bundle.names())
    return any(names & {*layout.train, layout.test} for layout in (_TEN, _HUNDRED))


def read_cifar(bundle: Bundle) -> Raw:
    """Read all parts; DataError where one is missing, cut short, or holds a label that no class has."""
    names = set(bundle.names())
    layout = _TEN if names & {*_TEN.train, _TEN.test} else _HUNDRED
    missing = [name for name in (*layout.train, layout.test, layout.names) if name not in names]
    if missing:
        raise DataError(
            f"{bundle.path} lacks {', '.join(missing)}\n  Put the missing in, or fetch and unpack the archive again."
        )
    text = bundle.read(layout.names).decode("utf-8", errors="replace")
    classes = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not classes:
        raise DataError(f"{bundle.where(layout.names)} names no classes\n  Fetch it again: one name a line.")
    parts = [_records(bundle, name, layout.label_bytes, len(classes)) for name in layout.train]
    train, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Raw(classes, train, labels, *_records(bundle, layout.test, layout.label_bytes, len(classes)))


def _records(bundle: Bundle, name: str, label_bytes: int, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    content, size = bundle.read(name), label_bytes + _PIXELS
    where = bundle.where(name)
    if not content or len(content) % size:
        raise DataError(
            f"{where} has {len(content)} bytes, not a multiple of {size} ({label_bytes} of label and {_PIXELS} of "
            "pixels a picture)\n  It is cut short or something else: fetch it again."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    labels = check_labels(records[:, label_bytes - 1], classes, where)
    return records[:, label_bytes:].reshape(-1, 3, 32, 32), labels

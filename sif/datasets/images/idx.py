"""IDX files, the format of MNIST and Fashion-MNIST: a magic number, the lengths of the dimensions, bytes."""

import gzip
import struct

import numpy as np
from numpy.typing import NDArray

from sif.datasets.bundle import Bundle
from sif.datasets.content import BROKEN
from sif.datasets.images.raw import Raw, check_labels
from sif.errors import DataError

__all__ = ["is_idx", "read_idx"]

_UBYTE = 0x0800  # the third byte of the magic number: unsigned bytes; the fourth is the number of dimensions


def is_idx(bundle: Bundle) -> bool:
    """Return whether any file is named as those of MNIST are."""
    return any(name.removesuffix(".gz").endswith("-ubyte") for name in bundle.names())


def read_idx(bundle: Bundle, classes: tuple[str, ...] = ()) -> Raw:
    """Read the four files, gzipped or not; without names of classes the numbers in the training labels name them.

    Raises DataError where a file is missing, cut short or of another format, where there are more or fewer labels than
    pictures, and where a label has no class.
    """
    train, labels, where = _part(bundle, "train")
    test, test_labels, where_test = _part(bundle, "t10k")
    if test.shape[1:] != train.shape[1:]:
        raise DataError(
            f"{bundle.path}: pictures of train are {_size(train)}, those of t10k {_size(test)}\n"
            "  Put the files of one data set together."
        )
    names = classes or tuple(str(number) for number in range(int(labels.max()) + 1))
    checked = check_labels(labels, len(names), where), check_labels(test_labels, len(names), where_test)
    return Raw(names, train, checked[0], test, checked[1])


def _part(bundle: Bundle, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
    pictures, where_pictures = _array(bundle, f"{part}-images-idx3-ubyte", 3)
    labels, where = _array(bundle, f"{part}-labels-idx1-ubyte", 1)
    if len(pictures) != len(labels):
        raise DataError(
            f"{where} has {len(labels)} labels, {where_pictures} has {len(pictures)} pictures\n"
            "  Put the files of one data set together, or fetch them again."
        )
    return pictures[:, None], labels, where


def _array(bundle: Bundle, name: str, dimensions: int) -> tuple[NDArray[np.uint8], str]:
    """One file as uint8 of the stated number of dimensions, and how an error names it."""
    packed = f"{name}.gz"
    if not bundle.has(name) and not bundle.has(packed):
        raise DataError(f"{bundle.path} has neither {packed} nor {name}\n  Put one of them there: all four are needed.")
    found = name if bundle.has(name) else packed
    content, where = bundle.read(found), bundle.where(found)
    if found == packed:
        try:
            content = gzip.decompress(content)
        except BROKEN as error:
            raise DataError(f"{where} is cut short or damaged: {error}\n  Fetch it again.") from error
    header, magic = 4 + 4 * dimensions, _UBYTE + dimensions
    if content[:4] != struct.pack(">I", magic):
        raise DataError(
            f"{where} begins with 0x{content[:4].hex()}, an IDX file of {'pictures' if dimensions == 3 else 'labels'} "
            f"with 0x{magic:08x}\n  It is something else under this name: fetch it again."
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header]) if len(content) >= header else (0,)
    expected = header + int(np.prod(shape, dtype=object))
    if len(content) != expected or not all(shape):
        raise DataError(
            f"{where} has {len(content)} bytes, its header speaks of {' x '.join(map(str, shape))} ({expected} bytes)\n"
            "  It is cut short or damaged: fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape), where


def _size(pictures: NDArray[np.uint8]) -> str:
    return " x ".join(map(str, pictures.shape[2:]))

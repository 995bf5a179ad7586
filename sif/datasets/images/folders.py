"""Picture files in one folder a class: Tiny ImageNet, and pictures of one's own."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sif.datasets.bundle import Bundle
from sif.datasets.images.raw import Raw
from sif.errors import DataError

__all__ = ["is_folders", "read_folders"]

_SUFFIXES = (".jpeg", ".jpg", ".png")
_ANNOTATIONS = "val/val_annotations.txt"


def is_folders(bundle: Bundle) -> bool:
    """Return whether there is a folder `train`."""
    return "train" in bundle.names()


def read_folders(bundle: Bundle) -> Raw:
    """Read `train/<class>/[images/]*.JPEG` and, as the test part, `val` with its annotations, or `test/<class>/`.

    All pictures must be of one size; grey ones become RGB. Classes are the folders' names in sorted order, under the
    names that `words.txt` gives them. Raises DataError for a folder without classes or pictures, a picture that cannot
    be decoded or is of another size, an annotation of an unknown class, and where Pillow is not installed.
    """
    ids = [name for name in bundle.names("train") if bundle.names(f"train/{name}")]
    if len(ids) < 2:
        raise DataError(
            f"{bundle.where('train')} has {len(ids)} folder{'s' if len(ids) != 1 else ''} of pictures, and each class "
            "needs one\n  Lay the pictures out as train/<class>/*.jpg, with two classes or more."
        )
    train = _class_folders(bundle, "train", ids)
    if bundle.has(_ANNOTATIONS):
        test = _annotated(bundle, ids)
    else:
        part = next((name for name in ("test", "val") if set(ids) & set(bundle.names(name))), None)
        if part is None:
            raise DataError(
                f"{bundle.path} has no test part\n"
                f"  Lay it out as test/<class>/*.jpg with the classes of train, or as val/images and {_ANNOTATIONS}."
            )
        test = _class_folders(bundle, part, ids)
    decoded = _decode(bundle, [name for name, _ in (*train, *test)])
    labels = np.array([label for _, label in (*train, *test)], np.int64)
    cut = len(train)
    return Raw(_class_names(bundle, ids), decoded[:cut], labels[:cut], decoded[cut:], labels[cut:])


def _class_folders(bundle: Bundle, part: str, ids: Sequence[str]) -> list[tuple[str, int]]:
    """(file, class) of all pictures of a part; a class of train must have one."""
    strangers = [name for name in bundle.names(part) if name not in ids and bundle.names(f"{part}/{name}")]
    if strangers:
        raise DataError(
            f"{bundle.where(f'{part}/{strangers[0]}')} is a class that train lacks\n  Rename the folder, or remove it."
        )
    found = list[tuple[str, int]]()
    for label, name in enumerate(ids):
        folder = f"{part}/{name}/images" if bundle.names(f"{part}/{name}/images") else f"{part}/{name}"
        files = [file for file in bundle.names(folder) if file.lower().endswith(_SUFFIXES)]
        if not files and part == "train":
            raise DataError(
                f"{bundle.where(folder)} has no pictures\n  Put {', '.join(_SUFFIXES)} files there, or remove it."
            )
        found += [(f"{folder}/{file}", label) for file in files]
    return found


def _annotated(bundle: Bundle, ids: Sequence[str]) -> list[tuple[str, int]]:
    number = {name: label for label, name in enumerate(ids)}
    found = list[tuple[str, int]]()
    lines = bundle.read(_ANNOTATIONS).decode("utf-8", errors="replace").splitlines()
    for place, line in enumerate(lines, 1):
        fields = line.split("\t")
        if not line.strip():
            continue
        if len(fields) < 2 or fields[1] not in number:
            what = f'"{fields[1]}", which is no folder of train' if len(fields) > 1 else "missing"
            raise DataError(
                f"{bundle.where(_ANNOTATIONS)}, line {place}: the class of {fields[0][:100]} is {what}\n"
                "  Mend the line, or fetch the data set again."
            )
        found.append((f"val/images/{fields[0]}", number[fields[1]]))
    if not found:
        raise DataError(f"{bundle.where(_ANNOTATIONS)} is empty\n  Fetch it again: file and class, with tabs between.")
    return found


def _class_names(bundle: Bundle, ids: Sequence[str]) -> tuple[str, ...]:
    if not bundle.has("words.txt"):
        return tuple(ids)
    lines = bundle.read("words.txt").decode("utf-8", errors="replace").splitlines()
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return tuple(words.get(name, name).strip() for name in ids)


def _decode(bundle: Bundle, names: Sequence[str]) -> NDArray[np.uint8]:
    """The pictures uint8 [n, 3, H, W]."""
    image = _pillow(bundle)
    pictures: NDArray[np.uint8] | None = None
    for place, name in enumerate(names):
        content = bundle.read(name)
        try:
            with image.open(io.BytesIO(content)) as opened:
                pixels = np.asarray(opened.convert("RGB"))
        except (OSError, SyntaxError, ValueError, image.DecompressionBombError) as error:
            raise DataError(f"{bundle.where(name)} cannot be decoded: {error}\n  Fetch or write it again.") from error
        if pictures is None:
            pictures = np.empty((len(names), 3, *pixels.shape[:2]), np.uint8)
        if pixels.shape[:2] != pictures.shape[2:]:
            raise DataError(
                f"{bundle.where(name)} is {pixels.shape[0]} x {pixels.shape[1]}, the first picture is "
                f"{pictures.shape[2]} x {pictures.shape[3]}\n  Scale all pictures to one size."
            )
        pictures[place] = pixels.transpose(2, 0, 1)
    assert pictures is not None, "train has pictures"
    return pictures


def _pillow(bundle: Bundle) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError(
            f"{bundle.path} holds JPEG or PNG pictures, and Pillow, which decodes them, is not installed\n"
            "  pip install 'sif-nas[images]'"
        ) from error
    return Image

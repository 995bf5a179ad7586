"""Pictures and series as arrays: numpy's .npz files, and what a program has in memory."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sif.datasets.bundle import PARTS, Bundle
from sif.datasets.images.raw import Raw, cut_test
from sif.errors import DataError

__all__ = ["as_raw", "is_arrays", "read_arrays", "twins"]

_LABELS = frozenset({"y", "label", "labels", "target", "targets", "class", "classes"})
_VALUES = frozenset({"x", "data", "image", "images", "picture", "pictures", "series", "signal", "signals", ""})


def is_arrays(bundle: Bundle) -> bool:
    """Return whether there are arrays of numpy."""
    return any(name.endswith(".npy") for name in bundle.names())


def read_arrays(bundle: Bundle, seed: int) -> Raw:
    """Read arrays named x_train, y_train, x_test, y_test (or train_images, train_labels, ..., or x and y)."""
    found = dict[tuple[str, bool], NDArray[Any]]()
    notes = list[str]()
    for file in (name for name in bundle.names() if name.endswith(".npy")):
        words = file.removesuffix(".npy").lower().split("_")
        part = next((PARTS[word] for word in words if word in PARTS), "train")
        role = "_".join(word for word in words if word not in PARTS)
        if part == "valid" or role not in _LABELS | _VALUES:
            notes.append(f"{bundle.where(file)} is not read")
            continue
        try:
            found[part, role in _LABELS] = np.load(io.BytesIO(bundle.read(file)), allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"{bundle.where(file)} is no array of numbers: {error}\n  Save numbers or texts.") from None
    lacking = [name for key, name in ((False, "x_train"), (True, "y_train")) if ("train", key) not in found]
    lacking += ["y_test"] if ("test", False) in found and ("test", True) not in found else []
    if lacking:
        raise DataError(
            f"{bundle.path} lacks {' and '.join(lacking)}\n"
            "  Save it with numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)."
        )
    parts = {part: (found.get((part, False)), found.get((part, True))) for part in ("train", "test")}
    raw = as_raw(parts, None, str(bundle.path), seed)
    return raw._replace(notes=(*raw.notes, *notes))


def as_raw(parts: Mapping[str, tuple[Any, Any]], classes: Sequence[str] | None, where: str, seed: int) -> Raw:
    """Return arrays as pictures; see `Pictures.from_arrays` for the forms."""
    notes = list[str]()
    train, test = (
        None if values is None else _pictures(values, f"{where}: {part}", notes) for part, (values, _) in parts.items()
    )
    labels, test_labels = (
        None if given is None else _flat(given, f"{where}: {part}") for part, (_, given) in parts.items()
    )
    if train is None or labels is None:
        raise DataError(f"{where}: the training part has no {'pictures' if train is None else 'labels'}\n  Give them.")
    if (test is None) != (test_labels is None):
        raise DataError(f"{where}: the test part has {'labels' if test is None else 'pictures'} alone\n  Give both.")
    names = [*classes] if classes is not None else np.unique(labels).tolist()
    if len(names) < 2:
        raise DataError(f"{where}: {len(names)} class{'es' if len(names) != 1 else ''}\n  Give two classes or more.")
    by_number = classes is not None and labels.dtype.kind in "iu"
    number = {name: place for place, name in enumerate(range(len(names)) if by_number else names)}
    train_labels = _numbers(labels, number, train, f"{where}: train")
    shown = tuple(map(str, names))
    if test is None or test_labels is None:
        drawn, note = cut_test(train_labels, shown, where, seed)
        cut = (train[~drawn], train_labels[~drawn], train[drawn], train_labels[drawn])
        return Raw(shown, *cut, notes=(*notes, note))
    return Raw(shown, train, train_labels, test, _numbers(test_labels, number, test, f"{where}: test"), tuple(notes))


def twins(raw: Raw) -> tuple[str, ...]:
    """Return a note where pictures of the test part are in the training part too."""
    seen = {hashlib.blake2b(np.ascontiguousarray(picture).data, digest_size=16).digest() for picture in raw.train}
    count = sum(
        hashlib.blake2b(np.ascontiguousarray(picture).data, digest_size=16).digest() in seen for picture in raw.test
    )
    if not count:
        return ()
    one = count == 1
    return (
        f"{count} of {len(raw.test)} test pictures {'is' if one else 'are'} in the training part too, pixel for pixel",
    )


def _pictures(values: Any, where: str, notes: list[str]) -> NDArray[Any]:
    """Values as uint8 or float32 [n, C, H, W]."""
    array = _array(values, where)
    if array.dtype.kind not in "uifb":
        raise DataError(f"{where} is of type {array.dtype}\n  Give whole or floating-point numbers.")
    given, plain = list(array.shape), array.dtype == np.uint8
    if array.ndim == 4 and array.shape[3] in (1, 3, 4) and array.shape[1] not in (1, 3, 4):
        array = array.transpose(0, 3, 1, 2)
    elif array.ndim == 3:
        array = array[:, None] if plain else array[:, :, None]
    elif array.ndim == 2:
        array = array[:, None, None]
    if array.ndim != 4 or not array.size:
        raise DataError(
            f"{where} has the shape {given}\n  Give pictures [n, C, H, W] or [n, H, W, C], or series [n, length] or "
            "[n, channels, length]."
        )
    if list(array.shape) != given:
        what = "grey pictures" if plain and len(given) == 3 else "pictures" if len(given) == 4 else "series of one row"
        notes.append(f"{where.rpartition(': ')[2]} {given} is read as {what}: [n, C, H, W] = {list(array.shape)}")
    if plain:
        return array
    if not np.isfinite(array).all():
        place = np.argwhere(~np.isfinite(array))[0].tolist()
        raise DataError(
            f"{where}: entry {place} of [n, C, H, W] is {array[tuple(place)]}\n"
            f"  Put a finite number there, or leave number {place[0]} out."
        )
    largest = float(np.abs(array).max())
    if largest > float(np.finfo(np.float32).max):
        raise DataError(f"{where} has numbers up to {largest:.3g}, float32 ends at 3.4e38\n  Divide them all.")
    return array.astype(np.float32)


def _array(values: Any, where: str) -> NDArray[Any]:
    try:
        return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    except (ValueError, TypeError) as error:
        raise DataError(f"{where} is no array: {error}\n  Give rows of one length.") from error


def _flat(labels: Any, where: str) -> NDArray[Any]:
    """Labels [n]: whole numbers, or texts."""
    array = _array(labels, f"{where} labels")
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.dtype.kind == "O" and all(isinstance(label, str) for label in array.flat):
        array = array.astype(str)
    if array.dtype.kind == "f" and (array == np.round(array)).all():
        array = array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iubU" or not len(array):
        raise DataError(
            f"{where} has labels {array.dtype} {list(array.shape)}\n"
            "  Give one whole number or name each; of one-hot rows labels.argmax(1)."
        )
    return array.astype(np.int64) if array.dtype.kind == "b" else array


def _numbers(labels: NDArray[Any], number: Mapping[Any, int], pictures: NDArray[Any], where: str) -> NDArray[np.int64]:
    if len(labels) != len(pictures):
        raise DataError(f"{where} has {len(pictures)} pictures and {len(labels)} labels\n  Give one each.")
    values = labels.tolist()
    unknown = next((place for place, label in enumerate(values) if label not in number), None)
    if unknown is not None:
        raise DataError(
            f"{where}: label {unknown} is {values[unknown]!r}, the classes are {', '.join(map(str, [*number][:10]))}\n"
            "  Mend the label, or leave that one out."
        )
    return np.array([number[label] for label in values], np.int64)

"""Picture files in one folder a class: Tiny ImageNet, and pictures of one's own."""

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from sif.datasets.bundle import PARTS, Bundle
from sif.datasets.images.decode import SUFFIXES, decode
from sif.datasets.images.raw import Raw, cut_test
from sif.errors import DataError

__all__ = ["is_folders", "read_folders"]

_ANNOTATIONS = "val/val_annotations.txt"
_LOOKED_AT = 2000  # files, to tell whether a folder holds pictures


def is_folders(bundle: Bundle) -> bool:
    """Return whether there is a folder `train`, or a folder with pictures below it."""
    return "train" in _parts(bundle) or any(map(_is_picture, islice(bundle.walk(""), _LOOKED_AT)))


def read_folders(bundle: Bundle, seed: int = 0, size: int | None = None) -> Raw:
    """Read `train/<class>/*.jpg` and, as the test part, `test/<class>/`, or `val` with Tiny ImageNet's annotations.

    Without a folder `train` the folders themselves are the classes; where there is no test part, a fifth of each class
    is drawn for it by `seed`. Pictures may lie in folders of their class's folder. All must be of one size, or `size`
    makes them so; they become RGB. Classes are the folders' names in sorted order, under the names that `words.txt`
    gives them. Notes say what was left out, drawn or changed. Raises DataError for a folder without classes or
    pictures, pictures that cannot be decoded or are of two sizes, and an annotation of an unknown class.
    """
    parts = _parts(bundle)
    root = parts.get("train", "")
    names = [name for name in bundle.names(root) if bundle.is_folder(_join(root, name))]
    files = {name: [*bundle.walk(_join(root, name))] for name in names}
    if not root:  # whatever lies beside the classes
        files = {name: some if name.casefold() not in PARTS else [] for name, some in files.items()}
        files = {name: some if any(map(_is_picture, some)) else [] for name, some in files.items()}
    ids = [name for name in names if files[name]]
    if len(ids) < 2:
        raise DataError(
            f"{bundle.where(root)} has {len(ids)} folder{'s' if len(ids) != 1 else ''} of pictures, and each class "
            f"needs one\n  Lay the pictures out as {_join(root, '<class>/*.jpg')}, with two classes or more."
        )
    notes = [
        f"{bundle.where(_join(root, name))} holds no pictures of a class: it is none"
        for name in names
        if not files[name]
    ]
    notes += _alike(ids)
    train = [(file, label) for label, name in enumerate(ids) for file in _pictures(bundle, root, name, files[name])]
    test, part = _test(bundle, parts, ids)
    notes += _left_out(bundle, (root, part), [file for file, _ in (*train, *test)])
    pictures, changes = decode(bundle, [file for file, _ in (*train, *test)], size)
    labels = np.array([label for _, label in (*train, *test)], np.int64)
    drawn = np.arange(len(labels)) >= len(train)
    if part is None:
        drawn, note = cut_test(labels, tuple(ids), str(bundle.path), seed)
        notes.append(note)
    elif "valid" in parts and part == parts.get("test"):
        notes.append(
            f"{bundle.where(parts['valid'])} is not read: pictures.holdout holds training pictures out instead"
        )
    without = sorted(set(range(len(ids))) - {*labels[drawn].tolist()})
    if without:
        notes.append(
            f"no test picture is of {', '.join(ids[label] for label in without[:5])}"
            + (f" and {len(without) - 5} more" if len(without) > 5 else "")
        )
    return Raw(
        _class_names(bundle, ids), pictures[~drawn], labels[~drawn], pictures[drawn], labels[drawn], (*notes, *changes)
    )


def _parts(bundle: Bundle) -> dict[str, str]:
    """The folders of the parts by part; the plain name comes first."""
    found = dict[str, str]()
    for name in sorted(bundle.names(), key=lambda name: name not in PARTS.values()):
        if name.casefold() in PARTS and bundle.is_folder(name):
            found.setdefault(PARTS[name.casefold()], name)
    return found if "train" in found else {}


def _join(root: str, name: str) -> str:
    return f"{root}/{name}" if root else name


def _is_picture(file: str) -> bool:
    return file.lower().endswith(SUFFIXES)


def _pictures(bundle: Bundle, root: str, name: str, files: Iterable[str]) -> list[str]:
    found = [file for file in files if _is_picture(file)]
    if not found:
        raise DataError(
            f"{bundle.where(_join(root, name))} has no pictures\n  Put .jpg or .png files there, or remove it."
        )
    return found


def _test(bundle: Bundle, parts: dict[str, str], ids: Sequence[str]) -> tuple[list[tuple[str, int]], str | None]:
    """(file, class) of the pictures of the test part and its folder; no folder where there is no such part."""
    if bundle.has(_ANNOTATIONS):
        return _annotated(bundle, ids), "val"
    for part in (parts[kind] for kind in ("test", "valid") if kind in parts):
        files = {name: [*bundle.walk(_join(part, name))] for name in bundle.names(part)}
        if not {*map(_plain, ids)} & {*map(_plain, files)}:
            continue
        strangers = [name for name in files if name not in ids and any(map(_is_picture, files[name]))]
        if strangers:
            near = next((name for name in ids if _plain(name) == _plain(strangers[0])), None)
            raise DataError(
                f"{bundle.where(f'{part}/{strangers[0]}')} is a class that train lacks"
                f"{f' (it has {near})' if near else ''}\n  Rename the folder, or remove it."
            )
        found = [(file, label) for label, name in enumerate(ids) for file in files.get(name, ()) if _is_picture(file)]
        if found:
            return found, part
    if any(kind in parts and any(map(_is_picture, bundle.walk(parts[kind]))) for kind in ("test", "valid")):
        raise DataError(
            f"{bundle.path} has no test part\n"
            f"  Lay it out as test/<class>/*.jpg with the classes of train, or as val/images and {_ANNOTATIONS}."
        )
    return [], None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _alike(ids: Sequence[str]) -> list[str]:
    """Notes on names of classes that differ by case, or by how an accent is written, alone."""
    groups = dict[str, list[str]]()
    for name in ids:
        groups.setdefault(_plain(name), []).append(name)
    return [
        f"{' and '.join(group)} are classes of their own: merge the folders if they mean one"
        for group in groups.values()
        if len(group) > 1
    ]


def _left_out(bundle: Bundle, roots: Sequence[str | None], read: Sequence[str]) -> list[str]:
    """A note on the files among the pictures that are none."""
    known = set(read)
    others = [file for root in roots if root is not None for file in bundle.walk(root) if file not in known]
    odd = [file for file in others if file != _ANNOTATIONS and file != "words.txt"]
    if not odd:
        return []
    some = ", ".join(odd[:3]) + (", ..." if len(odd) > 3 else "")
    return [f"{len(odd)} file{'s that are' if len(odd) > 1 else ' that is'} no picture of a class left out: {some}"]


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

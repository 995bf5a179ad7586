"""The files of a data set, read by name from a folder, a zip or a tar archive; nothing is ever unpacked to disk."""

import hashlib
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

from sif.datasets.catalogue import E, entries, entry_at, find
from sif.datasets.content import BROKEN
from sif.datasets.entries import FilesEntry
from sif.datasets.files import fetch
from sif.errors import DataError

__all__ = ["PARTS", "Bundle", "altered", "is_junk", "located"]

PARTS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "development": "valid",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "t10k": "test",
}
"""The names that files and folders of a part go by."""
_JUNK = frozenset(
    {
        "__macosx",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "__pycache__",
        "@eadir",
        "$recycle.bin",
        "lost+found",
    }
)
_DEEPEST = 20  # folders below one another

_MOST_BYTES = 1 << 31  # of one tar archive, which is held in memory; CIFAR has 184 MB
_BROKEN = (*BROKEN, tarfile.TarError, zipfile.BadZipFile, KeyError, RuntimeError)  # RuntimeError: encrypted


def is_junk(name: str) -> bool:
    """Return whether notebooks, file managers or archivers made a file or folder of this name, and not its owner."""
    return name.startswith(".") or name.casefold() in _JUNK


class Bundle:
    """Names and bytes of the files below a folder or in an archive; folders that only wrap others are left out.

    What begins with a dot, and what file managers leave behind, has no name here. Use as a context. Raises DataError
    for a path that is neither, and for an archive that is cut short or damaged. With `plain` any other file counts as
    a folder that holds it alone.
    """

    def __init__(self, path: Path, *, plain: bool = False) -> None:
        """Open the folder or the archive at `path`."""
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._tar: dict[str, bytes] = {}
        self._wrapper = ""
        self._members: dict[str, str] | None = None  # name -> the archive's own name; None for a folder
        try:
            if path.is_dir():
                pass
            elif zipfile.is_zipfile(path):
                self._zip = zipfile.ZipFile(path)
                self._members = _tidy(info.filename for info in self._zip.infolist() if not info.is_dir())
            elif tarfile.is_tarfile(path):
                self._tar = _tar_contents(path)
                self._members = _tidy(self._tar)
            elif plain:
                self.path, self._members = path.parent, {path.name: ""}
            else:
                raise DataError(f"{path} is neither a folder nor a zip or tar archive\n  Give the folder of the data.")
        except _BROKEN as error:
            raise self._damaged(error) from error
        self.plain = self.path != path
        self._children: dict[str, set[str]] = {}
        for name in self._members or ():
            parts = name.split("/")
            for depth, part in enumerate(parts):
                self._children.setdefault("/".join(parts[:depth]), set()).add(part)
        while len(tops := self.names()) == 1 and self.names(tops[0]) and tops[0].casefold() not in PARTS:
            self._wrapper += f"{tops[0]}/"

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._zip is not None:
            self._zip.close()

    def names(self, folder: str = "") -> list[str]:
        """Return the names directly below a folder, sorted; none where there is no such folder."""
        folder = (self._wrapper + folder).rstrip("/")
        if self._members is not None:
            return sorted(self._children.get(folder, ()))
        place = self.path / folder
        return sorted(entry.name for entry in place.iterdir() if not is_junk(entry.name)) if place.is_dir() else []

    def is_folder(self, name: str) -> bool:
        """Return whether a name is that of a folder, an empty one too."""
        name = self._wrapper + name
        return name in self._children if self._members is not None else (self.path / name).is_dir()

    def walk(self, folder: str) -> Iterator[str]:
        """Yield the files below a folder, in its folders too, sorted; DataError for a circle of links."""
        if folder.count("/") > _DEEPEST:
            raise DataError(f"{self.where(folder)} lies too deep\n  Remove the links that lead in a circle.")
        for name in self.names(folder):
            inner = f"{folder}/{name}" if folder else name
            if self.is_folder(inner):
                yield from self.walk(inner)
            else:
                yield inner

    def has(self, name: str) -> bool:
        """Return whether there is a file or folder of this name."""
        inside = self._wrapper + name
        if self._members is None:
            return (self.path / inside).exists()
        return inside in self._members or inside in self._children

    def where(self, name: str) -> str:
        """Return how an error names a file: its path, or its name and the archive's."""
        inside = self._wrapper + name
        return str(self.path / inside) if self._members is None or self.plain else f"{inside} in {self.path}"

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; DataError where it is missing or damaged."""
        if not self.has(name):
            raise DataError(
                f"{self.where(name)} is missing\n  Put it there, or fetch the data set again: all is needed."
            )
        try:
            inside = self._wrapper + name
            if self._members is None or self.plain:
                return (self.path / inside).read_bytes()
            member = self._members[inside]
            return self._tar[member] if self._zip is None else self._zip.read(member)
        except _BROKEN as error:
            if self._members is not None and not self.plain:
                raise self._damaged(error) from error
            reason = getattr(error, "strerror", None) or error
            raise DataError(
                f"{self.where(name)} cannot be read: {reason}\n  Check that it is a file you may read."
            ) from error

    def _damaged(self, error: Exception) -> DataError:
        return DataError(f"{self.path} is cut short or damaged: {error}\n  Delete it and fetch it again.")


def _tar_contents(path: Path) -> dict[str, bytes]:
    """The regular files of a tar archive, in one pass (a gzipped one cannot be read out of order)."""
    contents, left = dict[str, bytes](), _MOST_BYTES
    with tarfile.open(path) as opened:
        for member in opened:
            left -= member.size
            if left < 0:
                raise DataError(
                    f"{path} unpacks to more than {_MOST_BYTES >> 30} GiB\n  Unpack it and give the folder."
                )
            stream = opened.extractfile(member) if member.isreg() else None
            if stream is not None:
                contents[member.name] = stream.read()
    return contents


def _tidy(names: Iterable[str]) -> dict[str, str]:
    """The files that count, by a name with single slashes."""
    tidy = {"/".join(part for part in re.split(r"[/\\]", name) if part not in ("", ".")): name for name in names}
    return {name: own for name, own in tidy.items() if not any(map(is_junk, name.split("/")))}


def altered(bundle: Bundle, entry: FilesEntry) -> tuple[str, ...]:
    """Return a note, for a copy of the right size, on files that are not byte for byte those of the data set."""
    known = entry.known
    changed = [name for name, digest in known.items() if hashlib.sha256(bundle.read(name)).hexdigest() != digest]
    if not changed:
        return ()
    return (
        f"not the published {entry.title} ({', '.join(changed)} {'differ' if len(changed) > 1 else 'differs'} from it):"
        " figures from this copy do not compare with published ones",
    )


def located(source: str | Path, kind: type[E], root: Path | None) -> tuple[Path, E | None]:
    """Return the path of data and their catalogue entry: a path as it is, a name as its copy (fetched if need be).

    Raises DataError for a path that is not there, and for a name that is not of a data set of this kind.
    """
    path = Path(source).expanduser()
    if path.exists():
        return path, entry_at(path, kind)
    if path.suffix or "/" in str(source) or "\\" in str(source):
        raise DataError(
            f"{source} cannot be read: there is no such file or folder\n"
            f"  Give the path of a folder or an archive, or one of {', '.join(entries(kind))}."
        )
    entry = find(str(source), kind)
    return fetch(entry, root), entry

"""The files of a data set, read by name from a folder, a zip or a tar archive; nothing is ever unpacked to disk."""

import hashlib
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from types import TracebackType

from sif.datasets.catalogue import E, entries, entry_at, find
from sif.datasets.entries import FilesEntry
from sif.datasets.files import fetch
from sif.datasets.layout import BROKEN
from sif.errors import DataError

__all__ = ["Bundle", "altered", "located"]

_MOST_BYTES = 1 << 31  # of one tar archive, which is held in memory; CIFAR has 184 MB
_BROKEN = (*BROKEN, tarfile.TarError, zipfile.BadZipFile, KeyError, RuntimeError)  # RuntimeError: encrypted


class Bundle:
    """Names and bytes of the files below a folder or in an archive; the folder that wraps an archive is left out.

    Use as a context. Raises DataError for a path that is neither, and for an archive that is cut short or damaged.
    """

    def __init__(self, path: Path) -> None:
        """Open the folder or the archive at `path`."""
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._tar: dict[str, bytes] = {}
        self._wrapper = ""
        if path.is_dir():
            self._kind = "folder"
            return
        self._kind = "archive"
        try:
            if zipfile.is_zipfile(path):
                self._zip = zipfile.ZipFile(path)
                names = [info.filename for info in self._zip.infolist() if not info.is_dir()]
            elif tarfile.is_tarfile(path):
                self._tar = _tar_contents(path)
                names = list(self._tar)
            else:
                raise DataError(f"{path} is neither a folder nor a zip or tar archive\n  Give the folder of the data.")
        except _BROKEN as error:
            raise self._damaged(error) from error
        tops = {PurePosixPath(name).parts[0] for name in names}
        if len(tops) == 1 and all("/" in name for name in names):
            self._wrapper = f"{tops.pop()}/"
        self._children: dict[str, set[str]] = {}
        for name in names:
            parts = name.removeprefix(self._wrapper).split("/")
            for depth, part in enumerate(parts):
                self._children.setdefault("/".join(parts[:depth]), set()).add(part)

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._zip is not None:
            self._zip.close()

    def names(self, folder: str = "") -> list[str]:
        """Return the names directly below a folder, sorted; none where there is no such folder."""
        if self._kind == "archive":
            return sorted(self._children.get(folder, ()))
        place = self.path / folder
        return sorted(entry.name for entry in place.iterdir()) if place.is_dir() else []

    def has(self, name: str) -> bool:
        """Return whether there is a file or folder of this name."""
        head, _, tail = name.rpartition("/")
        return tail in self.names(head) if self._kind == "archive" else (self.path / name).exists()

    def where(self, name: str) -> str:
        """Return how an error names a file: its path, or its name and the archive's."""
        return str(self.path / name) if self._kind == "folder" else f"{self._wrapper}{name} in {self.path}"

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; DataError where it is missing or damaged."""
        if not self.has(name):
            raise DataError(
                f"{self.where(name)} is missing\n  Put it there, or fetch the data set again: all is needed."
            )
        try:
            if self._zip is not None:
                return self._zip.read(self._wrapper + name)
            return (self.path / name).read_bytes() if self._kind == "folder" else self._tar[self._wrapper + name]
        except _BROKEN as error:
            if self._kind == "archive":
                raise self._damaged(error) from error
            raise DataError(
                f"{self.path / name} cannot be read: {error}\n  Check that it is a file you may read."
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
                contents[member.name.removeprefix("./")] = stream.read()
    return contents


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

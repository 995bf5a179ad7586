"""Finds and fetches the files of a catalogued data set; nothing is ever written outside the data root."""

import hashlib
import importlib.util
import os
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

import pooch

from sif.datasets.catalogue import Entry
from sif.errors import DataError

__all__ = ["data_root", "fetch", "locate", "ratings_file"]

_TIMEOUT_SECONDS = 30


def data_root(root: Path | None = None) -> Path:
    """Return `root`, or the user's cache folder for sif."""
    return Path(root) if root is not None else Path(pooch.os_cache("sif"))


def locate(entry: Entry, root: Path | None = None) -> Path | None:
    """Return where the data set is on this machine, without writing or fetching anything.

    The first of: the unpacked folder under the root, the archive under the root (whole, by its checksum), the folder
    of RecBole's copy. None when there is none of them.
    """
    base = data_root(root)
    if (base / entry.folder / entry.ratings.file).is_file():
        return base / entry.folder
    if _whole(base / entry.archive, entry.sha256):
        return base / entry.archive
    return _recbole_folder(entry)


def fetch(entry: Entry, root: Path | None = None) -> Path:
    """Return a folder that holds the ratings: found, unpacked, or downloaded and checked.

    Raises DataError, with what to fetch and where to put it, when there is no copy and the download fails.
    """
    base = data_root(root)
    found = locate(entry, root)
    if found is None:
        found = _download(entry, base)
    return found if found.is_dir() else _unpack(found, entry, base)


def ratings_file(entry: Entry, folder: Path) -> Path:
    """Return the file of ratings in a folder that `fetch` returned: the official one, or RecBole's."""
    if entry.recbole is not None and not (folder / entry.ratings.file).is_file():
        return folder / entry.recbole.ratings
    return folder / entry.ratings.file


def _recbole_folder(entry: Entry) -> Path | None:
    """RecBole's example data, found without importing RecBole, and taken only if it is the copy that we know."""
    if entry.recbole is None:
        return None
    try:
        spec = importlib.util.find_spec("recbole")
    except (ImportError, ValueError):
        return None
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "dataset_example" / entry.recbole.folder
        if _sha256(folder / entry.recbole.ratings) == entry.recbole.sha256:
            return folder
    return None


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _whole(archive: Path, sha256: str | None) -> bool:
    if not zipfile.is_zipfile(archive):
        return False
    return sha256 is None or _sha256(archive) == sha256


def _download(entry: Entry, base: Path) -> Path:
    """Download through pooch: to a temporary name, renamed when the checksum is right."""
    archive = base / entry.archive
    try:
        base.mkdir(parents=True, exist_ok=True)
        if entry.sha256 is None:
            archive.unlink(missing_ok=True)  # locate refused it, and pooch would keep what it cannot check
        pooch.retrieve(
            entry.url,
            known_hash=None if entry.sha256 is None else f"sha256:{entry.sha256}",
            fname=entry.archive,
            path=base,
            downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS),
        )
    except (OSError, ValueError) as error:
        raise DataError(_unreachable(entry, base, error)) from error
    if not zipfile.is_zipfile(archive):
        archive.unlink(missing_ok=True)
        raise DataError(_unreachable(entry, base, ValueError("what came is not a zip archive")))
    return archive


def _unreachable(entry: Entry, base: Path, error: Exception) -> str:
    archive = base / entry.archive
    there = " (there, but cut short or changed: its checksum is wrong)" if archive.is_file() else ""
    looked = [str(base / entry.folder / entry.ratings.file), f"{archive}{there}"]
    other = ""
    if entry.recbole is not None:
        looked.append("the copy in RecBole (not installed, or without its example data)")
        other = " Or install RecBole, which brings a copy: pip install 'sif-nas[recbole]'."
    reason = " ".join(str(error).split())[:300]
    return (
        f"{entry.title} is not on this machine, and fetching it failed: {reason}\n"
        f"  Looked for {', '.join(looked)}.\n"
        f"  Download {entry.url} by hand and put {entry.archive} into {base}; it is unpacked from there.{other}"
    )


def _unpack(archive: Path, entry: Entry, base: Path) -> Path:
    """Take the few files that are read out of the archive, to names of our own choice; the ratings come last."""
    folder = base / entry.folder
    wanted = ("README", "README.txt", "README.html", entry.titles.file, entry.ratings.file)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = {PurePosixPath(info.filename).name: info for info in opened.infolist() if not info.is_dir()}
            if entry.ratings.file not in members:
                raise DataError(f"{archive} holds no {entry.ratings.file}\n  Delete it, and fetch {entry.url} again.")
            folder.mkdir(parents=True, exist_ok=True)
            for name in wanted:
                if name in members:
                    _extract(opened, members[name], folder / name)
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}\n  Delete it, and fetch {entry.url} again.") from error
    return folder


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Write one member under a temporary name; it takes its own name when it is whole."""
    handle, partial = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as sink, archive.open(member) as stream:
            shutil.copyfileobj(stream, sink)
        os.replace(partial, target)
    except BaseException:
        os.unlink(partial)
        raise

"""Finds and fetches the files of a catalogued data set; nothing is ever written outside the data root."""

import hashlib
import importlib.util
import os
import secrets
import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pooch

from sif.datasets.entries import Download, Entry, PicturesEntry, RatingsEntry
from sif.errors import DataError, WriteError

__all__ = ["data_root", "fetch", "is_archive", "locate", "ratings_file"]

_TIMEOUT_SECONDS = 30


def data_root(root: Path | None = None) -> Path:
    """Return `root`, or the user's cache folder for sif."""
    return Path(root) if root is not None else Path(pooch.os_cache("sif"))


def locate(entry: Entry, root: Path | None = None) -> Path | None:
    """Return where the data set is on this machine, without writing or fetching anything.

    The first of: the unpacked folder under the root, the archive under the root (whole, by its checksum), the folder
    of another package (RecBole's copy, Debian's dataset-fashion-mnist). None when there is none of them.

    Args:
        entry: The catalogued data set.
        root: Folder of data sets; None: `data_root()`.
    """
    base = data_root(root)
    if _holds(base / entry.folder, entry):
        return base / entry.folder
    archive = _archive(entry)
    if archive is not None and _whole(base / archive.file, archive):
        return base / archive.file
    if isinstance(entry, RatingsEntry):
        return _recbole_folder(entry)
    packaged = getattr(entry, "packaged", None)
    return Path(packaged) if packaged is not None and _holds(Path(packaged), entry) else None


def fetch(entry: Entry, root: Path | None = None) -> Path:
    """Return the folder that holds a data set, or the archive that is read as it is: found, or downloaded and checked.

    Ratings are unpacked.

    Args:
        entry: The catalogued data set.
        root: Folder of data sets; None: `data_root()`.

    Raises:
        DataError: There is no copy and the download fails; with what to fetch and where to put it.
    """
    base = data_root(root)
    found = locate(entry, root)
    if found is None:
        found = _download(entry, base)
    if isinstance(entry, RatingsEntry) and not found.is_dir():
        return _unpack(found, entry, base)
    return found


def ratings_file(entry: RatingsEntry, folder: Path) -> Path:
    """Return the file of ratings in a folder that `fetch` returned: the official one, or RecBole's."""
    if entry.recbole is not None and not (folder / entry.ratings.file).is_file():
        return folder / entry.recbole.ratings
    return folder / entry.ratings.file


def _recbole_folder(entry: RatingsEntry) -> Path | None:
    """RecBole's example data, found without importing RecBole, and taken only if it is the copy that we know."""
    if entry.recbole is None:
        return None
    try:
        spec = importlib.util.find_spec("recbole")
    except (ImportError, ValueError):
        return None
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "dataset_example" / entry.recbole.folder
        if digest_of(folder / entry.recbole.ratings) == entry.recbole.sha256:
            return folder
    return None


def _archive(entry: Entry) -> Download | None:
    """The one file that is an archive; None where the files lie singly."""
    return entry.downloads[0] if getattr(entry, "archive", None) else None


def _holds(folder: Path, entry: Entry) -> bool:
    """Whether a folder has the file that marks a copy, compressed or not."""
    return (folder / entry.marks).is_file() or (folder / entry.marks.removesuffix(".gz")).is_file()


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of a file in hex; None where there is none."""
    return _digest(path, "sha256") if path.is_file() else None


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip or a tar archive, going by its bytes."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def _whole(path: Path, expected: Download) -> bool:
    return path.is_file() and is_archive(path) and (expected.checksum is None or _whole_file(path, expected))


def _whole_file(path: Path, expected: Download) -> bool:
    algorithm, _, digest = (expected.checksum or "").partition(":")
    return bool(digest) and path.is_file() and _digest(path, algorithm) == digest


def _download(entry: Entry, base: Path) -> Path:
    """Download through pooch: each file to a name of this process's own, renamed when it is whole and right.

    Two processes that fetch the same then both end with a whole file, whichever comes last.
    """
    archive = _archive(entry)
    folder = base if archive is not None else base / entry.folder
    for wanted in entry.downloads:
        path = folder / wanted.file
        if archive is None and _whole_file(path, wanted):
            continue
        partial = folder / f".{wanted.file}-{secrets.token_hex(8)}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            pooch.retrieve(
                wanted.url,
                known_hash=wanted.checksum,
                fname=partial.name,
                path=folder,
                downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS),
            )
            if archive is not None and not is_archive(partial):
                raise ValueError(f"what came is not a {'zip' if path.suffix == '.zip' else 'tar'} archive")
            partial.chmod(0o644)
            os.replace(partial, path)
        except (OSError, ValueError) as error:
            raise DataError(_unreachable(entry, base, error)) from error
        finally:
            partial.unlink(missing_ok=True)
    return folder if archive is None else folder / archive.file


def _unreachable(entry: Entry, base: Path, error: Exception) -> str:
    looked, other = [str(base / entry.folder / entry.marks)], ""
    archive = _archive(entry)
    if archive is not None:
        there = (base / archive.file).is_file()
        looked.append(
            f"{base / archive.file}{' (there, but cut short or changed: its checksum is wrong)' if there else ''}"
        )
        by_hand = f"put {archive.file} into {base}; it is {_use(entry)}."
    else:
        by_hand = f"put {', '.join(wanted.file for wanted in entry.downloads)} into {base / entry.folder}."
    if isinstance(entry, RatingsEntry) and entry.recbole is not None:
        looked.append("the copy in RecBole (not installed, or without its example data)")
        other = " Or install RecBole, which brings a copy: pip install 'sif-nas[recbole]'."
    elif packaged := getattr(entry, "packaged", None):
        looked.append(packaged)
        other = f" Or install the package that brings {packaged} (Debian, Ubuntu: dataset-{entry.name})."
    pickled = entry.pickled if isinstance(entry, PicturesEntry) else ()
    looked += [
        f"{base / name} (there, but pickled: such a file is never read, as reading it can run any code)"
        for name in pickled
        if (base / name).exists()
    ]
    reason = " ".join(str(error).split())[:300]
    return (
        f"{entry.title} is not on this machine, and fetching it failed: {reason}\n"
        f"  Looked for {', '.join(looked)}.\n"
        f"  Download {entry.url} by hand and {by_hand}{other}"
    )


def _use(entry: Entry) -> str:
    return "unpacked from there" if isinstance(entry, RatingsEntry) else "read from there"


def _unpack(archive: Path, entry: RatingsEntry, base: Path) -> Path:
    """Take the few files that are read out of the archive, to names of our own choice; the ratings come last."""
    from sif.checkpoint import writing  # brings torch, which naming and finding data sets does without

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
                    with opened.open(members[name]) as stream, writing(folder / name) as sink:
                        shutil.copyfileobj(stream, sink)
    except (OSError, WriteError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}\n  Delete it, and fetch {entry.url} again.") from error
    return folder

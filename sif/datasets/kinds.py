"""What data look like that were given to a command for other data, and the command that takes them."""

import shlex
from itertools import islice
from pathlib import Path

from sif.datasets.bundle import PARTS, Bundle
from sif.datasets.columns import recognised
from sif.datasets.content import load_content
from sif.datasets.images.decode import SUFFIXES
from sif.datasets.layout import fields_of
from sif.errors import DataError

__all__ = ["other_kind"]

_COMMANDS = {
    "pictures": "sif search cifar10 --data {}",
    "text": "sif search ptb --data {}",
    "ratings": "sif search {}",
}
_PROSE = (".txt", ".text", ".tokens", ".raw", ".md")
_TABLES = (".csv", ".tsv", ".inter", ".parquet", ".pq", ".dat", ".data", ".jsonl")
_LOOKED_AT = 200


def other_kind(path: Path, wanted: str) -> str:
    """Return what to add to an error about data that are not `wanted`: what they look like and what reads them.

    `wanted` is "ratings", "pictures" or "text"; nothing is added where the data look like nothing else.
    """
    kind = _kind(path)
    if kind is None or kind == wanted:
        return ""
    return f"; it looks like {kind}\n  {_COMMANDS[kind].format(shlex.quote(str(path)))}"


def _kind(path: Path) -> str | None:
    try:
        with Bundle(path, plain=True) as bundle:
            files = [*islice(bundle.walk(""), _LOOKED_AT)]
    except (DataError, OSError):
        return None
    names = [file.lower().removesuffix(".gz") for file in files]
    if "indices.npy" in names or "row.npy" in names:  # of a sparse matrix
        return "ratings"
    if any(name.endswith((*SUFFIXES, "-ubyte", ".npy", "_batch.bin")) for name in names):
        return "pictures"
    if path.is_file() and files == [path.name]:
        return _of_file(path, names[0])
    parts = [name for name in names if name.endswith(_PROSE) and any(word in PARTS for word in name.split("."))]
    if parts or (len(names) == 1 and names[0].endswith(_PROSE)):
        return "text"
    return "ratings" if any(name.endswith(_TABLES) for name in names) else None


def _of_file(path: Path, name: str) -> str | None:
    if not name.endswith((*_PROSE, *_TABLES)):
        return None
    try:
        content = load_content(path)
        first = content.head.split(b"\n")[0][:1000].decode("utf-8-sig", errors="replace").strip()
    except DataError:
        return None
    tabular = name.endswith(_TABLES) or any(recognised(fields_of(first, mark, False)) == 2 for mark in "\t,;| ")
    return "ratings" if tabular else "text"

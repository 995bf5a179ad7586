"""The bytes of a file: opened once, unpacked, and told by what stands first in them, not by the file's name."""

import bz2
import gzip
import io
import lzma
import re
import shlex
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import polars as pl

from sif.errors import DataError

__all__ = ["BROKEN", "Content", "load_content"]

BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error, pl.exceptions.PolarsError)  # what a cut or damaged file raises
_HEAD_BYTES = 1 << 16
_JSON = re.compile(r"""\{\s*(u?['"]|\}|$)|\[\s*([{\["'\]]|-?\d|$)""")

# First bytes of files that are not tables: what they are, and what to do. {path} is the path as Python writes it.
_OTHERS: dict[bytes, tuple[str, str]] = {
    b"\x80[\x02-\x05]": (
        "a pickle, and opening one can run any code",
        "If you trust it: sif.read(pandas.read_pickle({path})), or write a CSV.",
    ),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save the sheet as CSV (UTF-8)."),
    b"SQLite format 3\0": ("an SQLite database", "Export the table as CSV."),
    b"\x89HDF": ("an HDF5 file", "In Python: sif.read(pandas.read_hdf({path}))."),
    b"ARROW1|FEA1": ("an Arrow (Feather) file", "In Python: sif.read(polars.read_ipc({path}))."),
    b"ORC[^ -~\\s]": ("an ORC file", "In Python: sif.read(pandas.read_orc({path}))."),
    b"Obj\x01": ("an Avro file", "In Python: sif.read(polars.read_avro({path}))."),
    b"\x93NUMPY": ("a NumPy array", "Write its columns as CSV, or a matrix with scipy.sparse.save_npz."),
    b"%PDF": ("a PDF", "Give the table as CSV."),
    b"7z\xbc\xaf|Rar!": ("an archive", "Unpack it, and give the file of ratings in it."),
    b"\x04\x22\x4d\x18|\xff\x06\x00\x00sNaPpY": ("compressed by lz4 or snappy", "Unpack it, or compress it with gzip."),
    b"\x1f\x9d": ("compressed by compress", "Unpack it with gunzip."),
}


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds, how it begins, and its bytes where they are not those on disk (a pipe, a compressed file)."""

    path: Path
    kind: Literal["text", "json", "parquet", "matrix"]
    head: bytes
    held: bytes | None = None

    @property
    def size(self) -> int:
        """Return the number of unpacked bytes."""
        return self.path.stat().st_size if self.held is None else len(self.held)

    def open(self) -> IO[bytes]:
        """Open the unpacked bytes."""
        return self.path.open("rb") if self.held is None else io.BytesIO(self.held)

    def source(self) -> Path | io.BytesIO:
        """Return what a reader of tables takes: the path where it will do."""
        return self.path if self.held is None else io.BytesIO(self.held)

    def whole(self) -> bytes:
        """Return all bytes."""
        return self.path.read_bytes() if self.held is None else self.held


def load_content(path: Path) -> Content:
    """Open a file and tell what it is; a compressed file and a pipe are held in memory, as they are read once.

    Raises DataError, saying what the first bytes show and what to do, for what is not a table.
    """
    try:
        head, held = _bytes(path)
    except BROKEN as error:
        raise DataError(f"{path} cannot be read: {error}\n  Check the path and the permissions.") from error
    if re.match(rb"PAR1[^ -~\s]", head):
        return Content(path, "parquet", head, held)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        _check_zip(path, held)
        return Content(path, "matrix", head, held)
    _refuse_others(path, head)
    if re.match(rb'(?:[^\n"]|"[^"]*")*?\r(?!\n)', head):  # lines end as on an old Mac
        held = (path.read_bytes() if held is None else held).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        head = held[:_HEAD_BYTES]
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    return Content(path, "json" if _JSON.match(text) else "text", head, held)


def _bytes(path: Path) -> tuple[bytes, bytes | None]:
    """The first bytes, unpacked, and all of them where the file itself cannot be read as it is."""
    raw = None if path.is_file() else path.read_bytes()
    with io.BytesIO(raw) if raw is not None else path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
        stream.seek(0)
        for magic, unpack in _UNPACK.items():
            if head.startswith(magic):
                raw = unpack(stream)
    return (head if raw is None else raw[:_HEAD_BYTES]), raw


def _zstd(stream: Any) -> bytes:
    """Text alone, for Python before 3.14 has no zstd and polars has: every line is one field."""
    lines = pl.read_csv(stream, has_header=False, separator="\x1f", quote_char=None, schema={"line": pl.String})
    return "\n".join(lines.to_series().fill_null("").to_list()).encode()


_UNPACK: dict[bytes, Callable[[Any], bytes]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream).read(),
    b"BZh": lambda stream: bz2.BZ2File(stream).read(),
    b"\xfd7zXZ\x00": lambda stream: lzma.decompress(stream.read()),
    b"\x28\xb5\x2f\xfd": _zstd,
}


def _check_zip(path: Path, held: bytes | None) -> None:
    """Of the zip archives only the .npz of scipy is read here; others are named."""
    try:
        with zipfile.ZipFile(path if held is None else io.BytesIO(held)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path} is a damaged zip archive: {error}\n  Fetch or write it again.") from error
    if any(name.startswith("xl/") for name in names):
        fix = f"Save the sheet as CSV (UTF-8), or: sif.read(pandas.read_excel({str(path)!r}))"
        raise DataError(f"{path} is an Excel workbook\n  {fix}")
    if not any(name.endswith(".npy") for name in names):
        raise DataError(f"{path} is a zip archive\n  Unpack it, and give the file of ratings in it.")


def _refuse_others(path: Path, head: bytes) -> None:
    for magic, (what, fix) in _OTHERS.items():
        if re.match(magic, head):
            raise DataError(f"{path} is {what}\n  {fix.format(path=repr(str(path)))}")
    if head[257:262] == b"ustar":
        raise DataError(
            f"{path} is a tar archive\n  Unpack it, and give the file of ratings in it: tar xf {shlex.quote(str(path))}"
        )
    if encoding := _utf16(head):
        fix = f"Save it as UTF-8: iconv -f {encoding} -t UTF-8 {shlex.quote(str(path))} > utf8.csv"
        raise DataError(f"{path} is not UTF-8 text but {encoding}\n  {fix}")
    if b"\0" in head:
        raise DataError(
            f"{path} is not UTF-8 text (it holds zero bytes)\n  Save it as UTF-8 CSV, or as Parquet (.parquet)."
        )
    start = head[:200].decode("utf-8-sig", errors="replace").lstrip().lower()
    if re.match(r"<(!doctype|html|\?xml|!--|[a-z]+[\s>])", start):
        kind = "XML" if start.startswith("<?xml") else "a web page" if "html" in start else "markup"
        raise DataError(
            f"{path} is {kind}, not a table\n  If it was downloaded, see what it says; give a CSV or Parquet."
        )


def _utf16(head: bytes) -> str:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "UTF-16"
    halves = {"UTF-16BE": head[:200:2], "UTF-16LE": head[1:200:2]}
    return next((name for name, half in halves.items() if half.count(0) * 2 > len(half)), "")

"""`read`: any source of interactions to one checked form."""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from scipy import sparse

from sif.datasets.assemble import assemble, check_size
from sif.datasets.catalogue import entries, entry_at, find, wrong_kind
from sif.datasets.columns import ColumnNames, short
from sif.datasets.content import Content, load_content
from sif.datasets.entries import Entry, RatingsEntry
from sif.datasets.feedback import taken_as
from sif.datasets.files import fetch, ratings_file
from sif.datasets.folders import is_glob, part_files, read_part_files
from sif.datasets.frames import from_pandas, from_polars, is_pandas, read_parquet, refuse_series, to_frame
from sif.datasets.interactions import Interactions
from sif.datasets.kinds import other_kind
from sif.datasets.layout import Layout
from sif.datasets.readers import Reader, claimed_by, reader_of
from sif.datasets.records import read_records
from sif.datasets.table import RawTable
from sif.datasets.text import read_text
from sif.errors import DataError

__all__ = ["is_path", "load_table", "read"]


def read(
    source: Any,
    *,
    columns: ColumnNames | None = None,
    name: str | None = None,
    root: Path | None = None,
    reader: Reader | str | None = None,
) -> Interactions:
    """Read interactions and check them; the rules that were applied are in `notes`.

    Args:
        source: A path (delimited text such as CSV, TSV, `::` and RecBole's .inter, JSON Lines or a list of objects,
            lines of a user and its items, compressed or not; Parquet; .npz of scipy.sparse; a folder or glob of part
            files; a MovieLens folder), a pandas or polars frame or another that Arrow knows, a scipy sparse matrix, the
            name of a catalogued data set (when no file has it; fetched if need be), or Interactions, which come back as
            they are (or with `columns.feedback`).
        columns: Which columns are what; None: by their names.
        name: What messages and results call it; None: after the source.
        root: Folder of data sets; None: `data_root()`.
        reader: What makes a frame of any other source (`sif.datasets.readers.Reader`, or its name). Those that are
            entry points of `sif.readers` are asked before all else whether a path or text is theirs.

    Raises:
        DataError: Values are missing or unreadable, there are fewer than 10 rows, one user or one item alone, unknown
            columns; with file, line and fix.
    """
    if isinstance(source, Interactions):
        return taken_as(source, columns.feedback or None) if columns else source
    found, entry = _load(source, columns, root, name, reader)
    if isinstance(found, Interactions):
        return check_size(found)
    path = _existing(source)
    title = name or (entry.name if entry else path.name.split(".")[0] if path else found.origin.name)
    if columns is not None and columns.part:
        unused = f'"{columns.part}" says parts, and these are the rows of all; read_parts and searches keep them apart'
        found = replace(found, notes=(*found.notes, unused))
    made, _ = assemble([found], name=title, source=found.origin.name, columns=columns)
    return _check_whole(check_size(made), entry)


def load_table(source: Any, columns: ColumnNames | None = None, reader: Reader | str | None = None) -> RawTable:
    """Return the raw columns of any source that `read` takes."""
    found = source if isinstance(source, Interactions) else _load(source, columns, reader=reader)[0]
    if not isinstance(found, Interactions):
        return found
    given = ColumnNames(context=found.context is not None or None, weight=found.weight is not None or None)
    return from_polars(to_frame(found), given, found.source)


def is_path(source: object) -> bool:
    """Return whether a source names a file, a folder, a glob or what a reader from outside takes, not a data set."""
    named = _existing(source) is not None or (isinstance(source, str) and is_glob(source))
    return named or claimed_by(source) is not None


def _load(
    source: Any,
    columns: ColumnNames | None,
    root: Path | None = None,
    name: str | None = None,
    reader: Reader | str | None = None,
) -> tuple[RawTable | Interactions, RatingsEntry | None]:
    """Raw columns, or Interactions of a matrix, which has none; and the entry of a catalogued data set."""
    if own := claimed_by(source) if reader is None else reader_of(reader):
        return _framed(own, source, columns), None
    if sparse.issparse(source) or isinstance(source, sparse.sparray):
        return _of_matrix(source, columns, name or "matrix"), None
    if (table := _of_frame(source, columns)) is not None:
        return table, None
    if not isinstance(source, str | Path | Entry):
        raise DataError(
            f"cannot read interactions from a {type(source).__module__}.{type(source).__name__}\n"
            "  Give a path, a pandas or polars DataFrame, a scipy sparse matrix, or the name of a data set."
        )
    if isinstance(source, str) and is_glob(source):
        pattern = str(Path(source).expanduser())
        return _load_parts(pattern, part_files(pattern), columns), None
    path = None if isinstance(source, Entry) else _existing(source)
    if path is None:
        entry = source if isinstance(source, Entry) else _named(str(source))
        if not isinstance(entry, RatingsEntry):
            raise wrong_kind(entry, RatingsEntry)
        return _load_entry(entry, fetch(entry, root)), entry
    if path.is_dir():
        return _load_folder(path, columns)
    try:
        content = load_content(path)
        if content.kind != "matrix" and path.suffix.lower() != ".npz":
            return _load_content(content, columns), None
    except DataError as error:
        if path.is_file() and not (columns or ColumnNames()).given() and (other := other_kind(path, "ratings")):
            raise DataError(f"{path} is no table of ratings{other}\n  As a table: {error}") from None
        raise
    return _of_matrix(_load_npz(content), columns, name or str(path)), None


def _of_matrix(matrix: Any, columns: ColumnNames | None, name: str) -> Interactions:
    """The values are weights where a weight is asked for, whatever its name."""
    asked = columns or ColumnNames()
    made = Interactions.from_csr(
        matrix, name=name, weight="values" if asked.weight else "repeats" if asked.repeats else None
    )
    return taken_as(made, asked.feedback or None)


def _of_frame(source: Any, columns: ColumnNames | None, name: str | None = None) -> RawTable | None:
    """Raw columns of a frame, by its name in messages; None for what is no frame."""
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    if isinstance(source, pl.DataFrame):
        return from_polars(source, columns, name or "polars frame")
    if is_pandas(source):
        return from_pandas(source, columns, name or "pandas frame")
    refuse_series(source)
    if hasattr(source, "__arrow_c_stream__"):
        return from_polars(_of_arrow(source), columns, name or f"{type(source).__module__.split('.')[0]} table")
    return None


def _framed(reader: Reader, source: Any, columns: ColumnNames | None) -> RawTable:
    """Raw columns of what a reader from outside makes of a source."""
    kind, what = type(reader).__qualname__, str(source) if isinstance(source, str | Path) else short(repr(source), 60)
    if not reader.reads(source):
        raise DataError(f"reader {kind} does not read {what}\n  Give what it reads, or leave out the reader.")
    try:
        frame = reader.frame(source)
    except Exception as error:  # of a stranger's code, which may raise anything
        raise DataError(
            f"reader {kind} cannot read {what}: {type(error).__name__}: {short(str(error), 200)}"
        ) from error
    if (table := _of_frame(frame, columns, what)) is None:
        raise DataError(
            f"reader {kind} made a {type(frame).__module__}.{type(frame).__name__} of {what}\n"
            "  Return a pandas or polars DataFrame, or an Arrow table."
        )
    return table


def _load_content(content: Content, columns: ColumnNames | None) -> RawTable:
    if content.kind == "parquet" or content.path.suffix.lower() in (".parquet", ".pq"):
        return read_parquet(content, columns)
    if content.kind == "json":
        return read_records(content, columns)
    if content.kind == "matrix":
        raise DataError(f"{content.path} is a sparse matrix, not a part of a table\n  Read it on its own.")
    return read_text(content, columns)


def _load_parts(source: str | Path, files: Sequence[Path], columns: ColumnNames | None) -> RawTable:
    return read_part_files(source, files, columns, lambda path, named: _load_content(load_content(path), named))


def _of_arrow(source: Any) -> pl.DataFrame:
    try:
        return pl.DataFrame(source)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"the Arrow table cannot be read: {short(str(error), 200)}\n  Give a pandas frame.") from error


def _existing(source: Any) -> Path | None:
    """The path that a source names, if there is such a file or folder."""
    if not isinstance(source, str | Path) or not str(source):
        return None
    path = Path(source).expanduser()
    return path if path.exists() else None


def _named(text: str) -> RatingsEntry:
    if Path(text).suffix or "/" in text or "\\" in text:
        folder = Path(text).expanduser().parent
        why = "there is no such file" if folder.is_dir() else f"there is no folder {folder}"
        raise DataError(
            f"{text} cannot be read: {why}\n  Give the path of a file, or one of {', '.join(entries(RatingsEntry))}."
        )
    return find(text, RatingsEntry)


def _load_entry(entry: RatingsEntry, folder: Path) -> RawTable:
    path = ratings_file(entry, folder)
    if path.name != entry.ratings.file:
        return read_text(path)
    ratings = entry.ratings
    layout = Layout(ratings.delimiter, ratings.columns, int(ratings.header), int(ratings.header), quoted=False)
    return read_text(path, layout=layout)


def _load_folder(path: Path, columns: ColumnNames | None) -> tuple[RawTable, RatingsEntry | None]:
    folder = path.resolve()
    for entry in entries(RatingsEntry).values():
        if entry.folder == folder.name and (path / entry.ratings.file).is_file():
            return _load_entry(entry, path), entry
    if (path / f"{folder.name}.inter").is_file():
        return read_text(path / f"{folder.name}.inter", columns), None
    other = entry_at(path, Entry)  # type: ignore[type-abstract]
    if other is not None and not isinstance(other, RatingsEntry):
        raise wrong_kind(other, RatingsEntry)
    hint = other_kind(path, "ratings")
    if not hint and (files := part_files(path)):
        return _load_parts(path, files, columns), None
    raise DataError(
        f"{path} is a folder, and not one of a data set that is known here{hint}\n"
        "  Give the file of ratings in it, or a glob of the part files of one table."
    )


def _load_npz(content: Content) -> Any:
    try:
        return sparse.load_npz(content.source())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error) if isinstance(error, OSError) else "it holds something else"
        reason += other_kind(content.path, "ratings") if content.path.is_file() else ""
        raise DataError(
            f"{content.path} is not a saved sparse matrix: {reason}\n"
            "  Write it with scipy.sparse.save_npz(path, user_items)."
        ) from error


def _check_whole(made: Interactions, entry: RatingsEntry | None) -> Interactions:
    """A copy that was cut short, or edited, must not pass for the data set."""
    if entry is None or entry.size is None:
        return made
    size = entry.size
    if (made.n_users, made.n_items, len(made)) == (size.users, size.items, size.interactions):
        return made
    raise DataError(
        f"{made.source} is not {entry.title}: it has {made.n_users} users, {made.n_items} items and {len(made)} "
        f"interactions, the data set has {size.users}, {size.items} and {size.interactions}\n"
        f"  Delete the folder and fetch {entry.url} again; data of your own reads by the path of its file."
    )

"""`read`: any source of interactions to one checked form."""

import zipfile
from pathlib import Path
from typing import Any

import polars as pl
from scipy import sparse

from sif.datasets.assemble import assemble, check_size
from sif.datasets.catalogue import entries, entry_at, find, wrong_kind
from sif.datasets.columns import ColumnNames
from sif.datasets.entries import Entry, RatingsEntry
from sif.datasets.files import fetch, ratings_file
from sif.datasets.frames import from_pandas, from_polars, is_pandas, read_parquet, to_frame
from sif.datasets.interactions import Interactions
from sif.datasets.kinds import other_kind
from sif.datasets.layout import Layout
from sif.datasets.table import Table
from sif.datasets.text import read_text
from sif.errors import DataError

__all__ = ["read"]


def read(
    source: Any, *, columns: ColumnNames | None = None, name: str | None = None, root: Path | None = None
) -> Interactions:
    """Read interactions and check them.

    `source` is a path (delimited text such as CSV, TSV, `::` and RecBole's .inter, compressed or not; Parquet; .npz of
    scipy.sparse; a MovieLens folder), a pandas or polars frame, a scipy sparse matrix, the name of a catalogued data
    set (when no file has it; fetched if need be, under `root`), or Interactions, which come back as they are.

    Raises DataError, naming file, line and fix, for anything that cannot be used: missing or unreadable values,
    fewer than 10 rows, one user or one item alone, unknown columns. The rules that were applied are in `notes`.
    """
    if isinstance(source, Interactions):
        return source
    if sparse.issparse(source) or isinstance(source, sparse.sparray):
        return check_size(Interactions.from_csr(source, name=name or "matrix"))
    path = _existing(source)
    if path is not None and path.suffix.lower() == ".npz":
        return check_size(Interactions.from_csr(_load_npz(path), name=name or str(path)))
    table, entry = load_table(source, columns, root)
    title = name or (entry.name if entry else path.name.split(".")[0] if path else table.origin.name)
    only_met = columns is not None and columns.only_met
    made, _ = assemble([table], name=title, source=table.origin.name, only_met=only_met)
    return _check_whole(check_size(made), entry)


def load_table(
    source: Any, columns: ColumnNames | None = None, root: Path | None = None
) -> tuple[Table, RatingsEntry | None]:
    """Return the raw columns of a source, and its entry where it is a catalogued data set."""
    if isinstance(source, Interactions):
        given = ColumnNames(context=None if source.context is None else "context")
        return from_polars(to_frame(source), given, source.source), None
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    if isinstance(source, pl.DataFrame):
        return from_polars(source, columns), None
    if is_pandas(source):
        return from_pandas(source, columns), None
    if sparse.issparse(source) or isinstance(source, sparse.sparray):
        return load_table(Interactions.from_csr(source))
    if not isinstance(source, str | Path | Entry):
        raise DataError(
            f"cannot read interactions from a {type(source).__module__}.{type(source).__name__}\n"
            "  Give a path, a pandas or polars DataFrame, a scipy sparse matrix, or the name of a data set."
        )
    path = None if isinstance(source, Entry) else _existing(source)
    if path is None:
        entry = source if isinstance(source, Entry) else _named(str(source))
        if not isinstance(entry, RatingsEntry):
            raise wrong_kind(entry, RatingsEntry)
        return _load_entry(entry, fetch(entry, root)), entry
    if path.is_dir():
        return _load_folder(path, columns)
    if path.suffix.lower() == ".npz":
        return load_table(Interactions.from_csr(_load_npz(path), name=str(path)))
    if path.suffix.lower() in (".parquet", ".pq"):
        return read_parquet(path, columns), None
    if path.suffix.lower() == ".zip":
        told = other_kind(path, "ratings")
        raise DataError(f"{path} is a zip archive{told}\n  Unpack it, and give the file of ratings in it.")
    try:
        return read_text(path, columns), None
    except DataError as error:
        if not (columns or ColumnNames()).given() and (told := other_kind(path, "ratings")):
            raise DataError(f"{path} is no table of ratings{told}\n  As a table: {error}") from None
        raise


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


def _load_entry(entry: RatingsEntry, folder: Path) -> Table:
    path = ratings_file(entry, folder)
    if path.name != entry.ratings.file:
        return read_text(path)
    ratings = entry.ratings
    layout = Layout(ratings.delimiter, ratings.columns, int(ratings.header), int(ratings.header), quoted=False)
    return read_text(path, layout=layout)


def _load_folder(path: Path, columns: ColumnNames | None) -> tuple[Table, RatingsEntry | None]:
    folder = path.resolve()
    for entry in entries(RatingsEntry).values():
        if entry.folder == folder.name and (path / entry.ratings.file).is_file():
            return _load_entry(entry, path), entry
    if (path / f"{folder.name}.inter").is_file():
        return read_text(path / f"{folder.name}.inter", columns), None
    other = entry_at(path, Entry)  # type: ignore[type-abstract]
    if other is not None and not isinstance(other, RatingsEntry):
        raise wrong_kind(other, RatingsEntry)
    raise DataError(
        f"{path} is a folder, and not one of a data set that is known here{other_kind(path, 'ratings')}\n"
        "  Give the file of ratings in it."
    )


def _load_npz(path: Path) -> Any:
    try:
        return sparse.load_npz(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error) if isinstance(error, OSError) else "it holds something else"
        reason += other_kind(path, "ratings")
        raise DataError(
            f"{path} is not a saved sparse matrix: {reason}\n  Write it with scipy.sparse.save_npz(path, user_items)."
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

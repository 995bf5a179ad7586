"""Titles of items, so that a recommendation reads "Toy Story (1995)" and not "1"."""

from pathlib import Path

import polars as pl

from sif.datasets.catalogue import entries
from sif.datasets.columns import normal, spelt
from sif.datasets.content import BROKEN, load_content
from sif.datasets.entries import Entry, RatingsEntry, TitlesFile
from sif.datasets.files import digest_of, locate
from sif.datasets.ids import Ids, ids_from_text, typed_ids
from sif.datasets.interactions import Interactions
from sif.datasets.layout import recognise_layout
from sif.datasets.vocabulary import RawId
from sif.errors import DataError

__all__ = ["item_titles", "titles_from"]

Titles = dict[RawId, str]
_TITLES = (
    *("title", "name", "itemtitle", "itemname", "movietitle", "moviename", "producttitle", "productname", "booktitle"),
    *("bookname", "songtitle", "songname", "tracktitle", "trackname", "artistname", "gametitle", "gamename"),
    *("recipename", "articletitle", "newstitle", "headline", "businessname", "animename"),
)


def item_titles(source: Entry | str | Path, root: Path | None = None) -> Titles | None:
    """Return raw item id -> title of a data set that is known, or None: what lies beside other data may be of others.

    Args:
        source: A catalogued data set (looked up, never fetched), or a path. Of paths those are known that have the
            published name of folder and file, and the published layout; and RecBole's copy, by its checksum.
        root: Folder of data sets; None: `data_root()`.
    """
    if isinstance(source, Entry):
        if not isinstance(source, RatingsEntry):
            return None
        found = locate(source, root)
        folder = found.parent / source.folder if found is not None and found.is_file() else found
        return None if folder is None else _in(folder, source)
    path = Path(source).expanduser().resolve()
    folder = path if path.is_dir() else path.parent
    known = (entry for entry in entries(RatingsEntry).values() if _is_of(entry, path, folder))
    return next((_in(folder, entry) for entry in known), None)


def titles_from(path: Path, data: Interactions, item: str | None = None) -> tuple[Titles, list[str]]:
    """Return raw item id -> title from a table of the user's, and notes on ids that do not fit.

    `item` names the column of ids, where it is not named like one. The files of catalogued data sets are read as they
    are. Raises DataError for a file without such columns, and for one in which no item of the data stands.
    """
    if not path.is_file():
        raise DataError(f"titles = {path}: there is no such file\n  Give a table with columns item_id and title.")
    known = next((entry for entry in entries(RatingsEntry).values() if entry.titles.file == path.name), None)
    if known is not None and not known.titles.header:
        named = _official(path, known.titles)
        ids, titles = typed_ids(pl.Series("item", list(named))), pl.Series(list(named.values()), dtype=pl.String)
    else:
        ids, titles = _columns(path, item)
    for row, why in ids.refused.items():
        raise DataError(f"{path}, row {row}: {why}")
    titles = titles.cast(pl.String).str.strip_chars()
    codes = data.items.encode(ids.series)
    usable = (codes >= 0) & (titles.is_not_null() & (titles != "")).fill_null(False).to_numpy()
    if not usable.any():
        shown = ", ".join(map(str, ids.series.head(3).to_list()))
        own = ", ".join(map(str, data.items.decode(range(min(3, data.n_items)))))
        raise DataError(f"{path} names no item of {data.source}: its ids are {shown}, ..., the items {own}, ...")
    places = usable.nonzero()[0][::-1]  # backwards, so that of two titles the first stays
    found = dict(zip(data.items.decode(codes[places]), titles.gather(places).to_list(), strict=True))
    notes = [f"{len(found)} of {data.n_items} items have titles, from {path}"]
    if unknown := int((codes < 0).sum()):
        notes.append(f"{unknown} ids of {path} are no items of the data")
    return found, notes


def _columns(path: Path, item: str | None) -> tuple[Ids, pl.Series]:
    """The ids and the titles of a table with a header."""
    frame, text = _table(path)
    plain = {normal(name): name for name in reversed(frame.columns)}
    ids = next((plain[name] for name in (*spelt("item"), "id") if name in plain), None)
    ids = item if item in frame.columns else ids
    title = next((plain[name] for name in _TITLES if name in plain and plain[name] != ids), None)
    missing = [f"no column of {what}" for what, name in (("item ids", ids), ("titles", title)) if name is None]
    if ids is None or title is None:
        raise DataError(
            f"{path}: the columns are {', '.join(frame.columns[:12])}: {' and '.join(missing)}\n"
            "  Give it a first line with the names item_id and title above these columns."
        )
    return ids_from_text(frame[ids].str.strip_chars()) if text else typed_ids(frame[ids]), frame[title]


def _table(path: Path) -> tuple[pl.DataFrame, bool]:
    """All columns of a Parquet file, or of a text file with a header as text; and whether it is text."""
    held = load_content(path)
    try:
        if held.kind == "parquet":
            return pl.read_parquet(held.source()), False
        layout = recognise_layout(held, None)
        lines = held.whole().decode("utf-8-sig").split("\n", max(layout.header - 1, 0))
        mark = layout.delimiter if len(layout.delimiter) == 1 else "\x1f"
        content = lines[-1].replace(layout.delimiter, mark).encode()
        quote = '"' if layout.quoted else None
        return pl.read_csv(content, separator=mark, quote_char=quote, infer_schema=False), True
    except (UnicodeDecodeError, *BROKEN) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is no table of titles: {reason}\n  Write it as UTF-8 CSV, or Parquet.") from error


def _in(folder: Path, entry: RatingsEntry) -> Titles | None:
    """The titles in the folder of a data set."""
    if (folder / entry.titles.file).is_file():
        return _official(folder / entry.titles.file, entry.titles)
    if entry.recbole is not None and (folder / entry.recbole.titles).is_file():
        return _atomic(folder / entry.recbole.titles)
    return None


def _is_of(entry: RatingsEntry, path: Path, folder: Path) -> bool:
    """Whether the ratings at a path are those of a data set."""
    copy = entry.recbole
    if copy is not None and digest_of(folder / copy.ratings) == copy.sha256:
        return path in (folder, folder / copy.ratings)
    ratings = folder / entry.ratings.file
    if folder.name != entry.folder or path not in (folder, ratings) or not ratings.is_file():
        return False
    with ratings.open(encoding="utf-8", errors="replace") as stream:
        cells = stream.readline().strip().split(entry.ratings.delimiter)
    if entry.ratings.header:
        return cells == ["userId", "movieId", "rating", "timestamp"]
    return len(cells) == len(entry.ratings.columns) and all(cell.replace(".", "").isdigit() for cell in cells)


def _official(path: Path, layout: TitlesFile) -> Titles:
    text = path.read_text(encoding=layout.encoding)
    if layout.delimiter == ",":
        table = pl.read_csv(text.encode(), has_header=layout.header, infer_schema=False)
        return _titles(table.to_series(0), table.to_series(1))
    lines = [line for line in text.splitlines()[int(layout.header) :] if line]
    cells = pl.Series(lines, dtype=pl.String).str.splitn(layout.delimiter, 3).struct.unnest()
    return _titles(cells.to_series(0), cells.to_series(1))


def _atomic(path: Path) -> Titles:
    """RecBole's .item: the year stands in a column of its own."""
    table = pl.read_csv(path, separator="\t", quote_char=None, infer_schema=False)
    table = table.rename({name: name.split(":")[0] for name in table.columns})
    title = table["movie_title"].fill_null("")
    if "release_year" in table.columns:
        year = table["release_year"].fill_null("")
        title = pl.select(
            pl.when(year.str.contains(r"^\d{4}$")).then(title + " (" + year + ")").otherwise(title)
        ).to_series()
    return _titles(table["item_id"], title)


def _titles(ids: pl.Series, titles: pl.Series) -> Titles:
    return dict(zip(ids_from_text(ids).series.to_list(), titles.fill_null("").to_list(), strict=True))

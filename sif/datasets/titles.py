"""Titles of items, so that a recommendation reads "Toy Story (1995)" and not "1"."""

from pathlib import Path

import polars as pl

from sif.datasets.catalogue import entries
from sif.datasets.entries import Entry, RatingsEntry, TitlesFile
from sif.datasets.files import locate
from sif.datasets.vocabulary import RawId, ids_from_text

__all__ = ["item_titles"]


def item_titles(source: Entry | str | Path, root: Path | None = None) -> dict[RawId, str] | None:
    """Return raw item id -> title, or None where there are no titles.

    `source` is a catalogued data set (looked up, never fetched), or a path: a MovieLens folder, or a file in one.
    """
    if isinstance(source, Entry):
        if not isinstance(source, RatingsEntry):
            return None
        found = locate(source, root)
        folder = found.parent / source.folder if found is not None and found.is_file() else found
    else:
        folder = Path(source) if Path(source).is_dir() else Path(source).parent
    if folder is None:
        return None
    known = [source] if isinstance(source, Entry) else list(entries(RatingsEntry).values())
    # Two editions name the file alike (movies.csv); they also write it alike, so the first that fits will do.
    known.sort(key=lambda entry: entry.folder != folder.name)
    for entry in known:
        if (folder / entry.titles.file).is_file():
            return _official(folder / entry.titles.file, entry.titles)
        if entry.recbole is not None and (folder / entry.recbole.titles).is_file():
            return _atomic(folder / entry.recbole.titles)
    return None


def _official(path: Path, layout: TitlesFile) -> dict[RawId, str]:
    text = path.read_text(encoding=layout.encoding)
    if layout.delimiter == ",":
        table = pl.read_csv(text.encode(), has_header=layout.header, infer_schema=False)
        return _titles(table.to_series(0), table.to_series(1))
    lines = [line for line in text.splitlines()[int(layout.header) :] if line]
    cells = pl.Series(lines, dtype=pl.String).str.splitn(layout.delimiter, 3).struct.unnest()
    return _titles(cells.to_series(0), cells.to_series(1))


def _atomic(path: Path) -> dict[RawId, str]:
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


def _titles(ids: pl.Series, titles: pl.Series) -> dict[RawId, str]:
    return dict(zip(ids_from_text(ids).to_list(), titles.fill_null("").to_list(), strict=True))

"""The files in which the data of a protocol come, and how each kind is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sif.datasets.layout import LISTS
from sif.errors import DataError

__all__ = ["FileLayout", "FoundFiles", "PairNamed", "SplitIndex", "TableNamed", "TrainTestPair"]

_ENDINGS = (".parquet", ".pq", ".csv", ".tsv", ".txt", ".inter", ".jsonl", ".dat", ".data")
_PACKED = (".gz", ".bz2", ".xz", ".zst")


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files of a protocol: the data, maybe a test part of its own, and values of the recipe that read them."""

    dataset: str
    test: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


class FileLayout(Protocol):
    """One kind of files."""

    @property
    def wanted(self) -> str:
        """The files that are looked for, in words."""
        ...

    def find(self, source: Path) -> FoundFiles | None:
        """Return the files of this kind; None where there are none.

        Args:
            source: A folder, a file, or a path that file names begin with.

        Raises:
            DataError: There are several, and nothing says which.
        """
        ...


def _stem(path: Path) -> str:
    """Return the name of a table's file without its endings; empty for other files."""
    bare = path.with_suffix("") if path.suffix.lower() in _PACKED else path
    return bare.stem if bare.suffix.lower() in _ENDINGS else ""


def _files(folder: Path) -> dict[str, Path]:
    """The files of tables in a folder, by their names without endings."""
    found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith((".", "_")))
    return {_stem(path): path for path in reversed(found) if _stem(path)}


@dataclass(frozen=True, slots=True)
class TrainTestPair:
    """`train` and `test` files of one kind, or `NAME-train` and `NAME-test`; text is lines of a user and its items."""

    names: tuple[str, ...] = ()

    @property
    def wanted(self) -> str:
        """The files in words."""
        example = self.names[0] if self.names else "NAME"
        return (
            f"train.txt and test.txt (lines of a user and its items), or as .parquet or .csv of user and item; "
            f"also {example}-train and {example}-test"
        )

    def find(self, source: Path) -> FoundFiles | None:
        """Return the pair in a folder, that of a training file, or that whose names begin with a path.

        Args:
            source: The folder, file or beginning.

        Raises:
            DataError: There are several.
        """
        folder = source if source.is_dir() else source.parent
        if not folder.is_dir():
            return None
        files = _files(folder)
        pairs = {}
        for stem, path in files.items():
            match = re.fullmatch(r"(?:(.+)[-_.])?train", stem)
            test = files.get(f"{stem.removesuffix('train')}test")
            if match and test is not None:
                pairs[match[1] or ""] = path, test
        if source.is_file():
            pairs = {name: pair for name, pair in pairs.items() if pair[0] == source}
        elif not source.is_dir():
            pairs = {name: pair for name, pair in pairs.items() if name == source.name}
        chosen = pairs if len(pairs) < 2 else {name: pairs[name] for name in ("", *self.names) if name in pairs}
        if not chosen and pairs:
            chosen = pairs
        if len(chosen) > 1 and "" not in chosen:
            first = next(iter(chosen))
            raise DataError(
                f"{source} has several pairs of files: {', '.join(f'{name}-train' for name in chosen)}\n"
                f"  Name one: --data {source / first}"
            )
        if not chosen:
            return None
        train, test = chosen.get("") or next(iter(chosen.values()))
        lists = {f"columns.{role}": place for role, place in LISTS.items()} if ".txt" in train.suffixes else {}
        return FoundFiles(str(train), str(test), lists)


@dataclass(frozen=True, slots=True)
class PairNamed:
    """Two files of these names: training and test part."""

    train: str
    test: str

    @property
    def wanted(self) -> str:
        """The files in words."""
        return f"{self.train} and {self.test}"

    def find(self, source: Path) -> FoundFiles | None:
        """Return the two files in a folder, or beside the training file.

        Args:
            source: The folder or the training file.
        """
        folder = source.parent if source.name == self.train else source
        train, test = folder / self.train, folder / self.test
        return FoundFiles(str(train), str(test)) if train.is_file() and test.is_file() else None


@dataclass(frozen=True, slots=True)
class TableNamed:
    """One table: a file that is given, or in a folder the one with one of these names.

    Attributes:
        names: Without endings, the likeliest first.
        part: What says the part of a row, as `columns.part`; empty: the whole table is cut.
        times: Whether times are read; papers on the table use none, and copies of it lack some.
    """

    names: tuple[str, ...]
    part: str = ""
    times: bool = True

    @property
    def wanted(self) -> str:
        """The files in words."""
        column = f" with a column {self.part.partition('=')[0]}" if self.part else ""
        return f"a table{column}: {', '.join(self.names)} as .parquet or .csv, or a file of another name"

    def find(self, source: Path) -> FoundFiles | None:
        """Return the table.

        Args:
            source: The folder, the file, or the file without its endings.
        """
        path = source if source.is_file() else None
        if path is None and (folder := source if source.is_dir() else source.parent).is_dir():
            files = _files(folder)
            names = self.names if source.is_dir() else (source.name,)
            path = next((files[name] for name in names if name in files), None)
        if path is None:
            return None
        values: dict[str, Any] = {"columns.part": self.part} if self.part else {}
        return FoundFiles(str(path), values=values | ({} if self.times else {"columns.timestamp": ""}))


@dataclass(frozen=True, slots=True)
class SplitIndex:
    """Ratings, and beside them an array with the part of each row: what `reader` makes one table of.

    Attributes:
        ratings: The file of the ratings.
        index: The file of the array.
        reader: As `package.module:object`.
    """

    ratings: str
    index: str
    reader: str

    @property
    def wanted(self) -> str:
        """The files in words."""
        return f"{self.ratings} with {self.index} (the part of each row)"

    def find(self, source: Path) -> FoundFiles | None:
        """Return the folder of both files.

        Args:
            source: The folder, or the file of the ratings.
        """
        folder = source.parent if source.is_file() and source.name == self.ratings else source
        if not ((folder / self.ratings).is_file() and (folder / self.index).is_file()):
            return None
        values = {"reader": self.reader, "columns.part": "split", "columns.timestamp": ""}
        return FoundFiles(str(folder), values=values)

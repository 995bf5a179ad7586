"""A suite: tables named in a TOML file, each with its split, its tasks and the cut of it that is tried on."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from sif.datasets import ColumnNames, read
from sif.datasets.columns import SaidFeedback, recognise
from sif.errors import DataError
from sif.recipes.closed import Count, StrictTable
from sif.resources import resource_dir

__all__ = ["FILE", "Suite", "SuiteTable", "TableCut", "read_suite", "suite_of"]

FILE = "suite.toml"
"""The name of a suite's file in a folder of its tables."""
_PARTS = ("train", "valid", "test")
_MARKS = {".csv": ",", ".tsv": "\t"}
_KEPT = 5  # rows of a user at least


class TableCut(StrictTable):
    """How much of a table is tried on: none of the keys, all of it.

    Items are drawn by how often they were met, then whole users at random among those who have five rows left, until
    there are so many users or rows.

    Attributes:
        users: At most.
        items: At most.
        rows: At most.
        per_user: Rows of a user at most, drawn at random.
        seed: Of the draws.
    """

    users: Count | None = None
    items: Count | None = None
    rows: Count | None = None
    per_user: Count | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def cuts(self) -> bool:
        """Whether anything is left out."""
        return any((self.users, self.items, self.rows, self.per_user))


class SuiteTable(StrictTable):
    """A table of a suite. Files are relative to the folder of the tables.

    Attributes:
        name: Of the table in the suite.
        task: What it is searched for.
        file: The whole table; `train`, `valid` and `test` instead where the parts are files.
        part: The column of a whole table that says which part a row is in, where there is one; `valid` and `test` are
            then its values, and all other rows are the training part.
        split: How a table without parts is cut.
        fractions: Of train, validation and test.
        columns: Role (user, item, rating, timestamp, weight) -> name, where the names do not say it; "" for not used.
        feedback: What the values are, where they do not say it.
        settings: Dotted keys of the recipe, such as `ranking.k`.
        cut: How much of it is tried on.
    """

    name: str
    task: Literal["rating", "ranking", "both"]
    file: str = ""
    train: str = ""
    valid: str | int = ""
    test: str | int = ""
    part: str = ""
    split: Literal["random", "user", "leave-last-out", "temporal"] = "random"
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    columns: dict[str, str] = Field(default_factory=dict)
    feedback: SaidFeedback = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    cut: TableCut = TableCut()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it is searched for."""
        return ("rating", "ranking") if self.task == "both" else (self.task,)

    @property
    def files(self) -> dict[str, str]:
        """Its files by part; one that is whole by `whole`."""
        if not self.train:
            return {"whole": self.file}
        return {part: str(name) for part in _PARTS if (name := getattr(self, part))}

    def problems(self) -> list[str]:
        """Return what does not go together."""
        found = []
        if bool(self.file) == bool(self.train):
            found.append("give file, or train with valid or test")
        if self.train and not (self.valid or self.test):
            found.append("train stands alone; give valid, test or both, or name it file")
        if self.part and not self.file:
            found.append("part is a column of a whole table; give file")
        if self.file and not self.part and (self.valid != "" or self.test != ""):
            found.append("valid and test of a whole table are values of a column; give part")
        if self.part and self.valid == "" and self.test == "":
            found.append(f"which values of {self.part} are valid or test?")
        return [f"{self.name}: {each}" for each in found]

    def lay(self, folder: Path, out: Path, whole: bool = False) -> dict[str, Any]:
        """Write the parts that are tried on, and return what a recipe is to be changed by to read them.

        Args:
            folder: Where the suite's files are.
            out: The folder to write to; it is made if need be. What needs no cut stays where it is.
            whole: Whether the cut is left out.

        Returns:
            Values by dotted key, `dataset`, `valid` and `test` among them.

        Raises:
            DataError: A file is missing or unreadable, or lacks a column.
        """
        files = {part: folder / name for part, name in self.files.items()}
        cut = TableCut() if whole else self.cut
        if self.part or cut.cuts:
            frames = self._labelled({part: _read(path) for part, path in files.items()})
            kind = next(iter(files.values())).suffix
            drawn = self._cut(frames, cut) if cut.cuts else frames
            out.mkdir(parents=True, exist_ok=True)
            files = {part: _written(frame, out / f"{part}{kind}") for part, frame in drawn.items()}
        said: dict[str, Any] = {"dataset": str(files.get("train", files.get("whole", "")))}
        said |= {part: str(files[part]) for part in ("valid", "test") if part in files}
        if "whole" in files:
            said |= {"split.kind": self.split}
            said |= {"split.fractions": list(self.fractions)} if self.split != "leave-last-out" else {}
        said |= {f"columns.{role}": name for role, name in self.columns.items()}
        return said | ({"feedback": self.feedback} if self.feedback else {}) | self.settings

    def _labelled(self, frames: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
        """Return the rows by part, those of a whole table by its column of parts."""
        if not self.part:
            return dict(frames)
        whole, values = frames["whole"], {"valid": self.valid, "test": self.test}
        if self.part not in whole.columns:
            raise DataError(f"table {self.name} has no column {self.part}; it has {', '.join(whole.columns)}")
        label = pl.col(self.part).cast(pl.String)
        wanted = {part: label == str(value) for part, value in values.items() if value != ""}
        parts = {part: whole.filter(rule) for part, rule in wanted.items()}
        return {"train": whole.filter(~pl.any_horizontal(*wanted.values())), **parts}

    def _cut(self, frames: Mapping[str, pl.DataFrame], cut: TableCut) -> dict[str, pl.DataFrame]:
        """Return the drawn rows by part."""
        names = next(iter(frames.values())).columns
        given: dict[str, Any] = dict(self.columns)
        found, _ = recognise(names, ColumnNames(**given), f"table {self.name}")
        user, item = names[found["user"]], names[found["item"]]
        labelled = [frame.with_columns(pl.lit(part).alias("__part")) for part, frame in frames.items()]
        rows = pl.concat(labelled, how="diagonal")
        if cut.items is not None:
            rows = rows.filter(pl.col(item).is_in(_drawn(rows[item], cut.seed, weighted=True)[: cut.items].to_list()))
        if cut.per_user is not None:
            rows = rows.sort(user, item).with_columns(pl.Series("__draw", _draws(cut.seed, len(rows))))
            rows = rows.filter(pl.col("__draw").rank("ordinal").over(user) <= cut.per_user).drop("__draw")
        rows = rows.filter(pl.len().over(user) >= _KEPT)
        order = _drawn(rows[user], cut.seed)[: cut.users]
        held = dict(rows[user].value_counts(sort=False).iter_rows())
        within = np.cumsum([held[each] for each in order.to_list()]) <= (cut.rows or len(rows))
        rows = rows.filter(pl.col(user).is_in(order.filter(pl.Series(within)).to_list()))
        rows = rows.sort(user, item)
        return {part: rows.filter(pl.col("__part") == part).drop("__part") for part in frames}


class Suite(StrictTable):
    """What a suite's file holds.

    Attributes:
        about: For people.
        tables: In order.
    """

    about: str = ""
    tables: tuple[SuiteTable, ...] = ()

    def held(self, folder: Path, names: Sequence[str] = ()) -> tuple[list[SuiteTable], list[str]]:
        """Return the tables whose files a folder holds, and for each other one what is missing.

        Args:
            folder: Where the files are.
            names: Of the tables to look for; none: all.

        Raises:
            DataError: A name is no table's.
        """
        known = {table.name: table for table in self.tables}
        if unknown := [name for name in names if name not in known]:
            raise DataError(f"the suite has no table {', '.join(unknown)}; there are {', '.join(known)}")
        wanted = [known[name] for name in names] or list(self.tables)
        lacking = {
            each.name: [name for name in each.files.values() if not (folder / name).is_file()] for each in wanted
        }
        notes = [f"{name} is left out: {folder} has no {', '.join(files)}" for name, files in lacking.items() if files]
        return [each for each in wanted if not lacking[each.name]], notes


def read_suite(path: Path | None = None) -> Suite:
    """Read the file of a suite; by default the development suite that ships.

    Args:
        path: A TOML file.

    Raises:
        DataError: It cannot be read, or has problems; all of them.
    """
    path = resource_dir("data") / "tables" / FILE if path is None else path
    try:
        made = Suite.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"cannot read the suite {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        found = [f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors()]
    else:
        names = [table.name for table in made.tables]
        found = [f"two tables are named {name}" for name in sorted({each for each in names if names.count(each) > 1})]
        found += [problem for table in made.tables for problem in table.problems()]
        found += [] if names else ["it names no table; add [[tables]]"]
        if not found:
            return made
    raise DataError("\n  ".join([f"{path} has {len(found)} problem{'s' * (len(found) > 1)}", *found]))


def suite_of(files: Sequence[Path]) -> Suite:
    """Return files of one's own as a suite: each cut at random into parts, and searched for what its values allow.

    Args:
        files: Of whole tables.

    Raises:
        DataError: A file cannot be read, or two have one name.
    """
    names = [path.stem for path in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"two files are named {', '.join(twice)}\n  Rename one: tables are told apart by their names.")
    rated = {path.stem: read(path).feedback.kind == "ratings" for path in files}
    cut = TableCut(users=1200, items=2000, rows=60_000)
    tables = [
        SuiteTable(name=path.stem, task="both" if rated[path.stem] else "ranking", file=str(path.absolute()), cut=cut)
        for path in files
    ]
    return Suite(tables=tuple(tables))


def _draws(seed: int, count: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1) from a stream that numpy fixes for good."""
    return np.random.PCG64(seed).random_raw(count) / 2.0**64


def _drawn(ids: pl.Series, seed: int, weighted: bool = False) -> pl.Series:
    """Return each id once in a drawn order; weighted, those that are there often come early."""
    held = ids.value_counts(sort=False).sort(ids.name)
    place = -np.log(1 - _draws(seed, len(held)))
    return held[ids.name].gather(np.argsort(place / held["count"].to_numpy() if weighted else place))


def _read(path: Path) -> pl.DataFrame:
    """Return the columns of a file as they are, text as text."""
    try:
        if path.suffix in (".parquet", ".pq"):
            return pl.read_parquet(path)
        if path.suffix in (".csv", ".tsv"):
            return pl.read_csv(path, separator=_MARKS[path.suffix], infer_schema=False)
        reason = f"a suite cuts Parquet, CSV and TSV, and no {path.suffix or 'file without an ending'}"
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
    raise DataError(f"{path} cannot be cut: {reason}\n  Write it as Parquet, or as CSV with a header.")


def _written(frame: pl.DataFrame, path: Path) -> Path:
    if path.suffix in _MARKS:
        frame.write_csv(path, separator=_MARKS[path.suffix])
    else:
        frame.write_parquet(path)
    return path

"""The catalogue of known data sets: one TOML each, closed and typed."""

import difflib
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sif.errors import DataError
from sif.resources import resource_dir

__all__ = ["Entry", "catalogue", "find_entry", "read_entry_file"]

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
# A bare file name: what an entry writes stays inside its own folder.
FileName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RatingsFile(_Closed):
    """The file of the archive that holds the ratings."""

    file: FileName
    delimiter: Literal["\t", "::", ","]
    header: bool
    columns: tuple[Literal["user", "item", "rating", "timestamp"], ...]


class TitlesFile(_Closed):
    """The file of the archive that holds the titles of the items: id first, title second."""

    file: FileName
    delimiter: Literal["|", "::", ","]
    header: bool
    encoding: Literal["utf-8", "latin-1"]


class SplitDefault(_Closed):
    """The split that recipes use unless they say otherwise."""

    kind: Literal["random", "user", "leave-last-out", "temporal"]
    fractions: tuple[float, float, float]
    seed: int


class Size(_Closed):
    """What a whole copy holds; reading checks it."""

    users: int
    items: int
    interactions: int


class RecBoleCopy(_Closed):
    """The copy that RecBole installs with its example data."""

    folder: FileName
    ratings: FileName
    titles: FileName
    sha256: Sha256


class Entry(_Closed):
    """One data set: where it comes from, on what terms, and how its files read."""

    name: str
    title: str
    aliases: tuple[str, ...]
    homepage: str
    url: str
    archive: FileName
    folder: FileName
    sha256: Sha256 | None = None
    licence: str
    cite: str
    ratings: RatingsFile
    titles: TitlesFile
    split: SplitDefault
    size: Size | None = None
    recbole: RecBoleCopy | None = None


def read_entry_file(path: Path) -> Entry:
    """Read one TOML of the catalogue; DataError lists every unknown, missing or ill-typed key."""
    try:
        return Entry.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        lines = [f"{path} has {error.error_count()} problem{'s' if error.error_count() > 1 else ''}"]
        for problem in error.errors():
            lines.append(
                f"  {'.'.join(map(str, problem['loc']))}  {_explain(problem['type'], problem['msg'], problem['loc'])}"
            )
        raise DataError("\n".join(lines)) from error


def _explain(kind: str, message: str, place: tuple[int | str, ...]) -> str:
    if kind != "extra_forbidden":
        return message
    known = [
        *Entry.model_fields,
        *RatingsFile.model_fields,
        *TitlesFile.model_fields,
        *SplitDefault.model_fields,
    ]
    close = difflib.get_close_matches(str(place[-1]), known, n=1)
    return "unknown key." + (f" Did you mean {close[0]}?" if close else " Remove it.")


@cache
def _entries() -> tuple[Entry, ...]:
    return tuple(read_entry_file(path) for path in sorted(resource_dir("data").glob("*.toml")))


def catalogue() -> dict[str, Entry]:
    """Return the known data sets by name, smallest first."""
    entries = sorted(_entries(), key=lambda entry: (entry.size is None, entry.size.interactions if entry.size else 0))
    return {entry.name: entry for entry in entries}


def find_entry(name: str) -> Entry:
    """Return the data set of a name or alias ("movielens", "ml-100k"); DataError names the nearest if there is none."""
    names = {key: entry for entry in _entries() for key in (entry.name, *entry.aliases)}
    wanted = name.strip().lower()
    if wanted in names:
        return names[wanted]
    close = difflib.get_close_matches(wanted, names, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    raise DataError(f'no data set is called "{name}"\n  {hint}Known: {", ".join(catalogue())}.')

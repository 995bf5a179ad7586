"""The catalogue of known data sets: one TOML each."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from nasp_core.errors import did_you_mean
from sif.datasets.entries import AnyEntry, CorpusEntry, Entry, PicturesEntry, RatingsEntry
from sif.errors import DataError
from sif.resources import resource_dir

__all__ = ["catalogue", "entries", "find", "find_entry", "read_entry_file"]

E = TypeVar("E", bound=Entry)

_READERS: dict[type[Entry], str] = {RatingsEntry: "read", PicturesEntry: "read_pictures", CorpusEntry: "read_corpus"}
_ADAPTER: TypeAdapter[Entry] = TypeAdapter(AnyEntry)


def read_entry_file(path: Path) -> Entry:
    """Read one TOML of the catalogue; DataError lists every unknown, missing or ill-typed key."""
    try:
        return _ADAPTER.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        lines = [f"{path} has {error.error_count()} problem{'s' if error.error_count() > 1 else ''}"]
        for problem in error.errors():
            place = problem["loc"][1:]  # the first is the kind
            name = ".".join(map(str, place)) or ("kind" if not problem["loc"] else "entry")
            lines.append(f"  {name}  {_explain(problem['type'], problem['msg'], place)}")
        raise DataError("\n".join(lines)) from error


def _explain(problem: str, message: str, place: tuple[int | str, ...]) -> str:
    if problem != "extra_forbidden":
        return message
    known = sorted({key for kind in _READERS for key in _keys(kind)})
    return "unknown key. " + did_you_mean(str(place[-1]), known, otherwise="Remove it.")


def _keys(model: Any) -> set[str]:
    """The keys of a model and of the tables in it."""
    keys = set()
    for name, field in model.model_fields.items():
        keys.add(name)
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                keys |= _keys(part)
    return keys


@cache
def _entries() -> tuple[Entry, ...]:
    return tuple(read_entry_file(path) for path in sorted(resource_dir("data").glob("*.toml")))


def catalogue() -> dict[str, Entry]:
    """Return the known data sets by name: ratings, pictures, corpora, each smallest first."""
    return {name: entry for kind in _READERS for name, entry in entries(kind).items()}


def entries(kind: type[E]) -> dict[str, E]:
    """Return the data sets of one kind by name, smallest first."""
    found = [entry for entry in _entries() if isinstance(entry, kind)]
    return {entry.name: entry for entry in sorted(found, key=lambda entry: entry.weight)}


def find_entry(name: str) -> Entry:
    """Return the data set of a name or alias ("movielens", "ml-100k"); DataError names the nearest if there is none."""
    return _find(name, catalogue())


def find(name: str, kind: type[E]) -> E:
    """Return the data set of a name or alias that is of a kind; DataError where there is none, or it is of another."""
    known = {key for entry in _entries() for key in (entry.name, *entry.aliases)}
    if name.strip().lower() not in known:
        return _find(name, entries(kind))
    entry = find_entry(name)
    if isinstance(entry, kind):
        return entry
    raise wrong_kind(entry, kind)


def wrong_kind(entry: Entry, kind: type[Entry]) -> DataError:
    """Return the error that a data set is of another kind than was asked for."""
    return DataError(
        f"{entry.name} ({entry.title}) holds {entry.what}, not {kind.what}\n"
        f"  Give {', '.join(entries(kind))} or data of your own; "
        f'sif.datasets.{_READERS[type(entry)]}("{entry.name}") reads {entry.title}.'
    )


def entry_at(path: Path, kind: type[E]) -> E | None:
    """Return the data set of a kind whose folder or archive has the name of this path."""
    name = path.resolve().name
    named = (entry for entry in entries(kind).values() if name in (entry.folder, getattr(entry, "archive", None)))
    return next(named, None)


def _find(name: str, known: dict[str, E]) -> E:
    names = {key: entry for entry in known.values() for key in (entry.name, *entry.aliases)}
    wanted = name.strip().lower()
    if wanted in names:
        return names[wanted]
    hint = did_you_mean(wanted, names, "Did you mean {}? ")
    raise DataError(f'no data set is called "{name}"\n  {hint}Known: {", ".join(known)}.')

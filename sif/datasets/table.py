"""A source as it was read, before it is checked: raw columns, and where each row stands in the source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from sif.errors import DataError

__all__ = ["LinePlace", "Origin", "RawTable"]

SHOWN = 5  # problems that one error lists


@dataclass(frozen=True, slots=True)
class LinePlace:
    """Where a row stands: its 1-based line (or 0-based row of a frame), its text, and what is amiss with its shape.

    `file` is the part that has it, where a source is several files.
    """

    number: int
    text: str = ""
    shape: str = ""
    file: str = ""


def _row_numbers(rows: Sequence[int]) -> list[LinePlace]:
    return [LinePlace(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Origin:
    """Name of the source, what its rows are called ("line", "row"), and how a row number becomes a place."""

    name: str
    unit: str = "row"
    places: Callable[[Sequence[int]], list[LinePlace]] = _row_numbers

    def fail(self, problems: Sequence[tuple[int, str]], total: int) -> DataError:
        """Return the error for (row, what and fix) pairs; of `total` problems the first few are listed."""
        listed = sorted(problems)[:SHOWN]
        places = self.places([row for row, _ in listed])
        said = [(place, place.shape or text) for place, (_, text) in zip(places, listed, strict=True)]
        once = list(dict.fromkeys(said))  # two columns may lack their values for one reason
        return listing(self, once, total - len(said) + len(once))


@dataclass(frozen=True, slots=True)
class RawTable:
    """Raw columns named user, item, rating, timestamp, context, weight (`roles` are those present), with their origin.

    A column `counted` says what the feedback is, and nothing else; `valued` is the name of the rating, or of this one.

    `column(role)` gives one, and may read it only then: who asks for one after another holds one at a time. `rows` are
    the numbers of the rows in the source where these are not 0, 1, 2, ... `text` says that every column still is what
    stood in a text file, so that types are yet to be found. `names` are those of all columns, where they have some.
    """

    roles: tuple[str, ...]
    column: Callable[[str], pl.Series]
    origin: Origin
    text: bool
    notes: tuple[str, ...] = ()
    rows: pl.Series | None = None
    names: tuple[str, ...] = ()
    valued: str = ""

    def numbers(self, places: pl.Series) -> list[int]:
        """Return where rows (their places in the columns) stand in the source."""
        found: list[int] = (places if self.rows is None else self.rows.gather(places)).to_list()
        return found


def listing(origin: Origin, problems: Sequence[tuple[LinePlace, str]], total: int) -> DataError:
    """Return the error that lists places with what is wrong there."""
    lines = [f"{origin.name} has {total} problem{'s' if total != 1 else ''}"]
    for place, text in problems:
        if len(text) > 500:  # a value that it quotes is long
            text = f"{text[:200]} ... {text[-200:]}"
        head = f"  {place.file + ', ' if place.file else ''}{origin.unit} {place.number}  "
        if place.text:
            first = place.text.split("\n")[0].rstrip()
            shown = first if len(first) <= 100 else first[:97] + "..."
            lines += [head + shown, " " * len(head) + text]
        else:
            lines.append(head + text)
    if total > len(problems):
        lines.append(f"  and {total - len(problems)} more")
    return DataError("\n".join(lines))

"""What a protocol is: files, values of a recipe, metrics, and the figures that were published under it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sif.protocols.layouts import FileLayout

__all__ = ["PublishedFigure", "PublishedProtocol", "PublishedTable"]


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """What one method has on one table.

    Attributes:
        method: Its name.
        values: One for each metric of the protocol; ranking metrics are shares, RMSE is in stars.
        source: Where the figure stands.
        on_test: Whether its epoch or its settings were chosen on the test file.
    """

    method: str
    values: tuple[float, ...]
    source: str
    on_test: bool = False


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table that figures were published on, known again by its size.

    Attributes:
        title: Its name.
        users: That occur in any part.
        items: That occur in any part.
        rows: Of all parts.
        test: Rows of the test part.
        figures: Published ones.
    """

    title: str
    users: int
    items: int
    rows: int
    test: int
    figures: tuple[PublishedFigure, ...] = ()

    def sizes(self) -> str:
        """Return its size in words."""
        return f"{self.users:,} users, {self.items:,} items, {self.rows:,} rows, {self.test:,} of them test"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedProtocol:
    """A protocol that papers share, so that a figure stands beside theirs.

    Attributes:
        name: What it is called on the command line.
        title: What it is, in one line.
        recipe: The shipped recipe that is searched under it, where none is named.
        task: Of that recipe, and of any other that may be named.
        values: Of the recipe, by dotted key, that the protocol fixes.
        metrics: That papers print, as results name them.
        layouts: The files that it takes, in the order in which they are looked for.
        url: Where the data can be had.
        masked: What is left out of the test rankings; empty where ratings are predicted.
        chosen: How a model is chosen here, and how papers choose theirs.
        tables: That figures were published on.
    """

    name: str
    title: str
    recipe: str
    task: str
    values: Mapping[str, Any]
    metrics: tuple[str, ...]
    layouts: Sequence[FileLayout]
    url: str
    chosen: str
    masked: str = ""
    tables: tuple[PublishedTable, ...] = field(default=())

    @property
    def places(self) -> int | None:
        """On how many places lists are judged; None where no lists are, but ratings."""
        return int(self.metrics[0].partition("@")[2] or 0) or None

    def table_of(self, users: int, items: int, rows: int, test: int) -> PublishedTable | None:
        """Return the table of this size; None where no figures are known of one.

        Args:
            users: Of all parts.
            items: Of all parts.
            rows: Of all parts.
            test: Rows of the test part.
        """
        size = (users, items, rows, test)
        return next((each for each in self.tables if (each.users, each.items, each.rows, each.test) == size), None)

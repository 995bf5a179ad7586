"""One model of what is shown: tables and sheets, rendered by the terminal, the report's page and JSON alike."""

from dataclasses import dataclass, field

__all__ = ["Line", "Sheet", "Table"]


@dataclass(frozen=True)
class Line:
    """One row of a table: a text for each column; `best` sets it off, `marked` the cells at these places."""

    cells: tuple[str, ...]
    best: bool = False
    marked: tuple[int, ...] = ()


@dataclass(frozen=True)
class Table:
    """Columns and rows of text; the columns at the places `text` are read from the left, the others are figures."""

    columns: tuple[str, ...]
    rows: tuple[Line, ...]
    text: tuple[int, ...] = (0,)
    title: str = ""

    def trimmed(self) -> "Table":
        """Return the table without columns that say nothing in any row (`-`)."""
        kept = [place for place in range(len(self.columns)) if any(row.cells[place] != "-" for row in self.rows)]
        rows = tuple(Line(tuple(row.cells[place] for place in kept), row.best) for row in self.rows)
        return Table(tuple(self.columns[place] for place in kept), rows)


@dataclass(frozen=True)
class Sheet:
    """A result as people read it.

    - `warning`: what is better than what is handed over, as the first line; "" where nothing is.
    - `facts`: what was searched, on what; `found`: the best architecture as text.
    - `table`: the comparison, best first; `explained`: how its figures are to be read; `also`: tables of other goals.
    - `remarks`: what a reader should not miss; `cost`: seconds and memory; `next`: the command to type next.
    """

    title: str
    facts: str
    found: str
    table: Table
    explained: str
    remarks: tuple[str, ...]
    cost: str
    next: str
    notes: tuple[str, ...] = field(default=())
    warning: str = ""
    also: tuple[Table, ...] = ()

"""Tables on the terminal."""

from rich.table import Table as RichTable
from rich.text import Text

from sif.cli.app import console
from sif.sheet import Table

__all__ = ["print_table"]


def print_table(table: Table) -> None:
    """Print a table: text to the left, figures to the right, the best rows and cells set off."""
    shown = RichTable(show_header=any(table.columns), title=Text(table.title) if table.title else None)
    for place, name in enumerate(table.columns):
        shown.add_column(Text(name), justify="left" if place in table.text else "right")
    for row in table.rows:
        cells = (Text(cell, "bold" if place in row.marked else "") for place, cell in enumerate(row.cells))
        shown.add_row(*cells, style="bold green" if row.best else None)
    console.print(shown)

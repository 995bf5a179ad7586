"""True accuracies of all cells of a space, from a table that the user has."""

import csv
import io
import lzma
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sif.errors import DataError

__all__ = ["CellTable", "TrueAccuracies"]


@dataclass(frozen=True)
class CellTable:
    """A table of the test accuracies that all cells of a space come to, in percent; users bring its file.

    - `benchmark`: who trained them, for messages.
    - `cells`: how many there are; `cell`: the column that names one, as the space writes it.
    - `columns`: data set -> its column; the first is what strategies are told where nothing else is asked.
    - `recipe`: the recipe of the benchmark's own networks, on that data set.
    - `least`: settings of the smallest supernet, to propose cells in.
    """

    benchmark: str
    cells: int
    cell: str
    columns: Mapping[str, str]
    recipe: str
    least: Any

    def read(self, path: str | Path) -> "TrueAccuracies":
        """Read a CSV file, plain, `.gz` or `.xz`, with the columns of `columns` and `cell`.

        Raises `DataError` for a file that is missing, cut short, of other columns, with a line that is no accuracy, or
        without all cells.
        """
        path = Path(path)
        rows = csv.DictReader(io.StringIO(self._text(path)))
        missing = [name for name in (*self.columns.values(), self.cell) if name not in (rows.fieldnames or ())]
        if missing:
            raise DataError(
                f"{path} has no column {', '.join(missing)}\n"
                f"  It must be a table of {self.benchmark}; docs/cells.md says how to write one from the official API."
            )
        accuracy: dict[str, dict[str, float]] = {}
        for number, row in enumerate(rows, 2):
            try:
                values = {name: float(row[column]) for name, column in self.columns.items()}
                valid = all(0.0 <= value <= 100.0 for value in values.values())
            except (TypeError, ValueError):
                valid = False
            if not valid:
                shown = ", ".join(str(row[column]) for column in self.columns.values())
                raise DataError(f"{path}, line {number}: {shown} are not accuracies in percent\n  Mend the line.")
            accuracy[row[self.cell]] = values
        if len(accuracy) != self.cells:
            raise DataError(
                f"{path} has {len(accuracy):,} cells, {self.benchmark} has {self.cells:,}\n"
                "  The file is cut short or of another benchmark; bring a whole one."
            )
        return TrueAccuracies(self.benchmark, accuracy)

    def _text(self, path: Path) -> str:
        if not path.is_file():
            raise DataError(f"no table {path}\n  Give the path of a CSV file of {self.benchmark}: --table PATH.")
        data = path.read_bytes()
        try:
            if path.suffix == ".xz":
                data = lzma.decompress(data)
            elif path.suffix == ".gz":
                data = zlib.decompress(data, wbits=31)
            return data.decode("utf-8")
        except (lzma.LZMAError, zlib.error, EOFError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read: {error}\n  The file is damaged; bring a whole one.") from None


class TrueAccuracies:
    """Test accuracies in percent, by cell (as the benchmark writes it) and data set."""

    def __init__(self, benchmark: str, accuracy: Mapping[str, Mapping[str, float]]) -> None:
        self._benchmark, self._accuracy = benchmark, accuracy
        self.names = tuple(next(iter(accuracy.values())))
        """The data sets, first that which strategies are told where nothing else is asked."""

    def of(self, cell: str) -> dict[str, float]:
        """Return the accuracies of a cell by data set; raises `DataError` for a string that the table lacks."""
        if cell not in self._accuracy:
            raise DataError(f"the table of {self._benchmark} has no cell {cell}")
        return dict(self._accuracy[cell])

    def best(self) -> dict[str, float]:
        """Return the best accuracy that any cell has, for each data set on its own."""
        return {name: max(values[name] for values in self._accuracy.values()) for name in self.names}

    def mean(self) -> dict[str, float]:
        """Return the mean over all cells: what drawing one blindly gives."""
        count = len(self._accuracy)
        return {name: sum(values[name] for values in self._accuracy.values()) / count for name in self.names}

"""True accuracies of all cells of NAS-Bench-201, from a table that the user has."""

import csv
import io
import lzma
import zlib
from collections.abc import Mapping
from pathlib import Path

from sif.errors import DataError

__all__ = ["ACCURACY_COLUMNS", "TrueAccuracies"]

ACCURACY_COLUMNS: Mapping[str, str] = {
    "cifar10": "CIFAR10TestAccuracy200Epochs",
    "cifar100": "CIFAR100TestAccuracy200Epochs",
    "imagenet16-120": "ImageNetTestAccuracy200Epochs",
}
"""Data set -> its column of the table."""
_CELL = "ArchitectureString"
_CELLS = 15_625


class TrueAccuracies:
    """Test accuracies in percent after 200 epochs of training, by cell (NAS-Bench-201's string) and data set."""

    def __init__(self, accuracy: Mapping[str, Mapping[str, float]]) -> None:
        self._accuracy = accuracy

    @classmethod
    def read(cls, path: str | Path) -> "TrueAccuracies":
        """Read a CSV file, plain, `.gz` or `.xz`, with the columns of `ACCURACY_COLUMNS` and `ArchitectureString`.

        Raises `DataError` for a file that is missing, cut short, of other columns, with a line that is no accuracy, or
        without all 15,625 cells.
        """
        path = Path(path)
        rows = csv.DictReader(io.StringIO(_text(path)))
        missing = [name for name in (*ACCURACY_COLUMNS.values(), _CELL) if name not in (rows.fieldnames or ())]
        if missing:
            raise DataError(
                f"{path} has no column {', '.join(missing)}\n"
                "  It must be a table of NAS-Bench-201; docs/cells.md says how to write one from the official API."
            )
        accuracy: dict[str, dict[str, float]] = {}
        for number, row in enumerate(rows, 2):
            try:
                values = {name: float(row[column]) for name, column in ACCURACY_COLUMNS.items()}
                valid = all(0.0 <= value <= 100.0 for value in values.values())
            except (TypeError, ValueError):
                valid = False
            if not valid:
                shown = ", ".join(str(row[column]) for column in ACCURACY_COLUMNS.values())
                raise DataError(f"{path}, line {number}: {shown} are not accuracies in percent\n  Mend the line.")
            accuracy[row[_CELL]] = values
        if len(accuracy) != _CELLS:
            raise DataError(
                f"{path} has {len(accuracy):,} cells, NAS-Bench-201 has {_CELLS:,}\n"
                "  The file is cut short or of another benchmark; bring a whole one."
            )
        return cls(accuracy)

    def of(self, cell: str) -> dict[str, float]:
        """Return the accuracies of a cell by data set; raises `DataError` for a string that the table lacks."""
        if cell not in self._accuracy:
            raise DataError(f"the table of NAS-Bench-201 has no cell {cell}")
        return dict(self._accuracy[cell])

    def best(self) -> dict[str, float]:
        """Return the best accuracy that any cell has, for each data set on its own."""
        return {name: max(values[name] for values in self._accuracy.values()) for name in ACCURACY_COLUMNS}

    def mean(self) -> dict[str, float]:
        """Return the mean over all cells: what drawing one blindly gives."""
        return {name: sum(values[name] for values in self._accuracy.values()) / _CELLS for name in ACCURACY_COLUMNS}


def _text(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"no table {path}\n  Give the path of a CSV file of NAS-Bench-201: --table PATH.")
    data = path.read_bytes()
    try:
        if path.suffix == ".xz":
            data = lzma.decompress(data)
        elif path.suffix == ".gz":
            data = zlib.decompress(data, wbits=31)
        return data.decode("utf-8")
    except (lzma.LZMAError, zlib.error, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}\n  The file is damaged; bring a whole one.") from None

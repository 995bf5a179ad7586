"""MovieLens 1M with the split that a paper published: an array with the part of each row."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sif.errors import DataError

__all__ = ["INDEXED", "IndexedRatings"]


class IndexedRatings:
    """Reads a folder of `ratings.dat` (user::item::rating::time) and `index.npz`, whose array `data` has the parts.

    The array holds 0, 1 or 2 for a row of the training, validation or test part, and -1 for one that is left out.
    """

    ratings, index = "ratings.dat", "index.npz"

    def reads(self, source: Any) -> bool:
        """Return whether a source is such a folder."""
        folder = Path(source) if isinstance(source, str | Path) else None
        return folder is not None and (folder / self.ratings).is_file() and (folder / self.index).is_file()

    def frame(self, source: Any) -> pl.DataFrame:
        """Return the rows, with their part in a column `split`.

        Args:
            source: The folder.

        Raises:
            DataError: The files do not belong together, or are of another kind.
        """
        folder = Path(source)
        lines = (folder / self.ratings).read_text(encoding="latin-1").split()
        fields = [line.split("::") for line in lines]
        with np.load(folder / self.index) as held:
            if "data" not in held.files:
                raise DataError(f"{folder / self.index} has no array data; it has {', '.join(held.files)}")
            parts = held["data"].astype(np.int8)
        if len(parts) != len(fields):
            raise DataError(
                f"{folder / self.index} has the parts of {len(parts)} rows, {self.ratings} has {len(fields)} rows; "
                "give the file that the split was made of"
            )
        if any(len(row) < 3 for row in fields):
            raise DataError(f"{folder / self.ratings} has lines that are not user::item::rating::time")
        names = ("user", "item", "rating")
        columns = {name: [row[place] for row in fields] for place, name in enumerate(names)}
        frame = pl.DataFrame(columns).with_columns(
            pl.col("user", "item").cast(pl.Int64), pl.col("rating").cast(pl.Float64)
        )
        return frame.with_columns(split=parts).filter(pl.col("split") >= 0)


INDEXED = IndexedRatings()

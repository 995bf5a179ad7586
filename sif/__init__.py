"""Search the interaction function of a recommender: `sif.search(data)`, `sif.load(run)`, `sif.Recommender`.

Cells of convolutional and recurrent networks: `sif.search_cells(recipe)`, `sif.load_cells(run)`.
"""

from typing import TYPE_CHECKING

from sif.errors import SifError
from sif.lazy import lazy

if TYPE_CHECKING:
    from sif.api import load, load_cells, search, search_cells
    from sif.cells.saved import CellRun
    from sif.datasets import Interactions, read
    from sif.recommender import Recommender
    from sif.run import Run

__version__ = "0.1.0"

__all__ = [
    "CellRun",
    "Interactions",
    "Recommender",
    "Run",
    "SifError",
    "__version__",
    "load",
    "load_cells",
    "read",
    "search",
    "search_cells",
]

__getattr__ = lazy(
    __name__,
    {
        **dict.fromkeys(("load", "load_cells", "search", "search_cells"), "sif.api"),
        "CellRun": "sif.cells.saved",
        **dict.fromkeys(("Interactions", "read"), "sif.datasets"),
        "Recommender": "sif.recommender",
        "Run": "sif.run",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

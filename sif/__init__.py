"""Search the interaction function of a recommender: `sif.search(data)`, `sif.load(run)`, `sif.Recommender`.

Cells of convolutional and recurrent networks: `sif.search_cells(recipe)`, `sif.load_cells(run)`.
"""

from sif.api import Run, load, load_cells, search, search_cells
from sif.cells.saved import CellRun
from sif.datasets import Interactions, read
from sif.errors import SifError
from sif.recommender import Recommender

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

"""Search the interaction function of a recommender: `sif.search(data)`, `sif.load(run)`, `sif.Recommender`."""

from sif.api import Run, load, search
from sif.datasets import Interactions, read
from sif.errors import SifError
from sif.recommender import Recommender

__version__ = "0.1.0"

__all__ = ["Interactions", "Recommender", "Run", "SifError", "__version__", "load", "read", "search"]

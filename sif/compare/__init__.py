"""A find beside other recommenders, on one split, each tuned under one budget: `compare_run`."""

from sif.compare.run import compare_run
from sif.compare.statistics import holm, paired
from sif.compare.tuning import Terms, run_method
from sif.rivals.method import Fitted, Method, by_products, grid_of
from sif.rivals.methods import METHODS
from sif.rivals.table import Table

__all__ = [
    "METHODS",
    "Fitted",
    "Method",
    "Table",
    "Terms",
    "by_products",
    "compare_run",
    "grid_of",
    "holm",
    "paired",
    "run_method",
]

"""The best architecture of a run beside other recommenders, on one split, each tuned under one budget."""

from sif.compare.run import compare_run
from sif.compare.statistics import holm, paired
from sif.compare.tuning import ComparisonConfig, run_method
from sif.rivals.base import Rival
from sif.rivals.known import METHODS
from sif.rivals.method import Fitted, Method, by_products, grid_of
from sif.rivals.pair_table import PairTable

__all__ = [
    "METHODS",
    "ComparisonConfig",
    "Fitted",
    "Method",
    "PairTable",
    "Rival",
    "by_products",
    "compare_run",
    "grid_of",
    "holm",
    "paired",
    "run_method",
]

"""Rivals: other recommenders, by one list; a run trains those that are networks, a comparison tunes the others too."""

from sif.rivals.base import Baseline, Rival, fixed, point
from sif.rivals.method import Fitted, Method, by_products, grid_of
from sif.rivals.pair_table import PairTable

__all__ = ["Baseline", "Fitted", "Method", "PairTable", "Rival", "by_products", "fixed", "grid_of", "point"]

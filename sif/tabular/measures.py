"""How well one list of figures puts things in the order of another."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sif.errors import DataError

__all__ = ["kendall_tau", "spearman"]

Figures = Sequence[float] | NDArray[np.float64]


def kendall_tau(first: Figures, second: Figures) -> float:
    """Return Kendall's tau-b in [-1, 1]; ties count half a step on either side. NaN where one list is all equal.

    Args:
        first: n figures.
        second: n figures of the same things.

    Raises:
        DataError: The lists have different lengths, or fewer than two figures.
    """
    _check(first, second)
    return float(stats.kendalltau(first, second).statistic)


def spearman(first: Figures, second: Figures) -> float:
    """Return Spearman's rho in [-1, 1]; tied figures share their mean rank. NaN where one list is all equal.

    Args:
        first: n figures.
        second: n figures of the same things.

    Raises:
        DataError: The lists have different lengths, or fewer than two figures.
    """
    _check(first, second)
    return float(stats.pearsonr(stats.rankdata(first), stats.rankdata(second)).statistic)


def _check(first: Figures, second: Figures) -> None:
    if len(first) != len(second) or len(first) < 2:
        raise DataError(
            f"{len(first)} and {len(second)} figures have no common order\n  Give two lists of one length, 2 or more."
        )

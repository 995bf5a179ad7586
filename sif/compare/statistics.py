"""Whether a difference between two methods is one: tests and intervals over users, corrected for how many are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, monte_carlo_test

from sif.errors import DataError

__all__ = ["Paired", "holm", "paired"]

FloatArray = NDArray[np.float64]
_ENTRIES = 1 << 22  # of what is drawn at once: 32 MiB of float64


@dataclass(frozen=True, slots=True)
class Paired:
    """One comparison over users: the mean difference, its 95 % interval [low, high], and the p-value of a test of 0."""

    difference: float
    low: float
    high: float
    p: float


def paired(
    ours: FloatArray, theirs: FloatArray, *, flips: int = 9_999, resamples: int = 4_999, seed: int = 0
) -> list[Paired]:
    """Compare a method with others, user by user.

    The test is the two-sided sign-flip (randomisation) test of the mean difference. Under the null hypothesis the two
    methods are exchangeable for each user, so that a user's difference is as likely with either sign; p is the share of
    `flips` random choices of signs, the observed one counted too, whose mean is at least as far from 0. So p is never
    below 1 / (flips + 1), and a test at level a errs with probability at most a, whatever the differences are
    distributed like. It tests the figure that the table shows, which Wilcoxon's signed-rank test does not: that one
    tests a centre of ranks, and leaves out users without a difference, of whom a ranking metric has many.

    The interval is the percentile bootstrap's. Both speak of other users of the same kind, on this split; other splits
    and seeds are not in them. All methods share the drawings.

    Args:
        ours: Metric of each user, `[users]`.
        theirs: The same of the others, `[methods, users]`.
        flips: Random choices of signs.
        resamples: Drawings of users with replacement.
        seed: Of both.

    Raises:
        DataError: Shapes disagree, values are not finite, or there are fewer than 2 users.
    """
    others = np.atleast_2d(theirs)
    if ours.ndim != 1 or others.shape[1:] != ours.shape:
        raise DataError(f"ours has shape {list(ours.shape)}, theirs {list(theirs.shape)}; [users] and [methods, users]")
    differences = ours - others
    if not np.isfinite(differences).all():
        raise DataError("a metric of some user is not finite; nothing can be tested")
    n = differences.shape[1]
    if n < 2:
        raise DataError(f"{n} user is too few to compare methods on; 2 or more are needed")
    return [_paired(one, flips, resamples, seed) for one in differences]


def _paired(differences: FloatArray, flips: int, resamples: int, seed: int) -> Paired:
    n = len(differences)
    batch, signs = max(1, _ENTRIES // n), np.random.default_rng(seed)
    flipped = monte_carlo_test(  # permutation_test draws a sign by sorting, which takes four times as long
        np.ones(n),
        lambda size: 1.0 - 2.0 * signs.integers(2, size=size, dtype=np.int8),
        lambda signs, axis: np.abs(signs @ differences),
        vectorized=True,
        n_resamples=flips,
        batch=batch,
        alternative="greater",
    )
    drawn = bootstrap(
        (differences,),
        np.mean,
        n_resamples=resamples,
        batch=batch,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Paired(*map(float, (differences.mean(), drawn.low, drawn.high, flipped.pvalue)))


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's p-values, in the order given: the chance of one false finding or more among all is bounded by them.

    Holm 1979: the i-th smallest of m is multiplied by m - i + 1; none is below a smaller one's, none above 1.
    """
    order = np.argsort(p, kind="stable")
    values = np.asarray(p, np.float64)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(values), 1.0)
    return [float(value) for value in corrected]

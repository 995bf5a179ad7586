"""Whether a difference between two methods is one: tests and intervals over users, corrected for how many are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sif.errors import DataError

__all__ = ["Paired", "holm", "paired"]

FloatArray = NDArray[np.float64]
_ENTRIES = 1 << 22  # of a block of signs or counts: 32 MiB of float64


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
    """Compare a method with others, user by user: `ours` `[users]`, `theirs` `[methods, users]`, of the same users.

    The test is the two-sided sign-flip (randomisation) test of the mean difference. Under the null hypothesis the two
    methods are exchangeable for each user, so that a user's difference is as likely with either sign; p is the share of
    `flips` random choices of signs, the observed one counted too, whose mean is at least as far from 0. So p is never
    below 1 / (flips + 1), and a test at level a errs with probability at most a, whatever the differences are
    distributed like. It tests the figure that the table shows, which Wilcoxon's signed-rank test does not: that one
    tests a centre of ranks, and leaves out users without a difference, of whom a ranking metric has many.

    The interval is the percentile bootstrap's, `resamples` drawings of users with replacement. Both speak of other
    users of the same kind, on this split; other splits and seeds are not in them. All methods share the drawings.

    Raises DataError for shapes that disagree, values that are not finite, and fewer than 2 users.
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
    generator = np.random.default_rng(seed)
    means = differences.mean(axis=1)
    bar = np.abs(means) * (1 - 1e-12)  # the same flips in another order of summing are as far
    further = sum((np.abs(block) >= bar).sum(axis=0) for block in _flipped(differences, flips, generator))
    p = (1 + further) / (flips + 1)
    drawn = np.concatenate(list(_resampled(differences, resamples, generator)))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return [Paired(*map(float, one)) for one in zip(means, low, high, p, strict=True)]


def _blocks(count: int, width: int) -> Iterator[int]:
    size = max(1, _ENTRIES // width)
    for start in range(0, count, size):
        yield min(size, count - start)


def _flipped(differences: FloatArray, flips: int, generator: np.random.Generator) -> Iterator[FloatArray]:
    """Yield blocks `[flips, methods]` of means under random signs; each bit of a random byte is a sign."""
    n = differences.shape[1]
    total = differences.sum(axis=1)
    for rows in _blocks(flips, n):
        bits = np.unpackbits(generator.integers(256, size=(rows, -(-n // 8)), dtype=np.uint8), axis=1, count=n)
        yield (2.0 * (bits.astype(np.float64) @ differences.T) - total) / n


def _resampled(differences: FloatArray, resamples: int, generator: np.random.Generator) -> Iterator[FloatArray]:
    """Yield blocks `[resamples, methods]` of means over users drawn with replacement."""
    n = differences.shape[1]
    for rows in _blocks(resamples, n):
        drawn = generator.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        yield counts.astype(np.float64) @ differences.T / n


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's p-values, in the order given: the chance of one false finding or more among all is bounded by them.

    Holm 1979: the i-th smallest of m is multiplied by m - i + 1; none is below a smaller one's, none above 1.
    """
    order = np.argsort(p, kind="stable")
    values = np.asarray(p, np.float64)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(values), 1.0)
    return [float(value) for value in corrected]

"""A Gaussian process over configurations: what is expected of those that were not tried."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize
from torch import Tensor

from nasp_core.trials.gaussian_process import expected_improvement, posterior

__all__ = ["Surrogate", "likeliest_scales"]

Array: TypeAlias = NDArray[np.float64]

_STEPS = 25  # of the search for the likeliest scales
_NAMED, _NUMBER, _AMPLITUDE, _NOISE = -1.0, 0.0, 0.0, -4.0  # prior means of the logarithms; the deviation is 1
_FARTHEST = 7.0  # from the mean
_JITTER = 1e-8


@dataclass(frozen=True)
class Surrogate:
    """A Gaussian process whose kernel is a product over the columns of the unit cube.

    A column of names adds a factor exp(-s) where two values differ, a column of numbers the Matern 5/2 kernel of s
    times the distance: so a column acts alone and with all others, and one that matters little (s near 0) is left out.

    Args:
        named: Which columns are names: bool `[dimensions]`.
        places: Float64 `[n, dimensions]`, in [0, 1].
        targets: Float64 `[n]`, mean about 0, deviation about 1; larger is better.
        scales: What `likeliest_scales` returned, of these or of the first of these.
    """

    named: NDArray[np.bool_]
    places: Array
    targets: Tensor
    scales: Array

    def gain(self, places: Array) -> Tensor:
        """Return the expected improvement on the best target at new places `[m, dimensions]`: float64 `[m]`."""
        amplitude, noise = np.exp(self.scales[-2:]).tolist()
        gram, cross = (
            torch.from_numpy(amplitude * _kernel(self.named, self.scales, _apart(self.named, self.places, other)))
            for other in (self.places, places)
        )
        prior = torch.full((len(places),), amplitude, dtype=torch.float64)
        mean, variance = posterior(gram, cross, prior, self.targets, noise + _JITTER)
        return expected_improvement(mean, variance.clamp_min(1e-10), float(self.targets.max()))


def likeliest_scales(named: NDArray[np.bool_], places: Array, targets: Tensor) -> Array:
    """Return the logarithms of the columns' scales, the amplitude and the noise's variance: float64 `[dimensions + 2]`.

    They are the likeliest after `targets` under log-normal priors, found by L-BFGS from the priors' means.
    """
    means = np.array([*np.where(named, _NAMED, _NUMBER), _AMPLITUDE, _NOISE])
    apart = [*_apart(named, places, places)]
    wanted, identity = targets.numpy(), np.eye(len(places))

    def loss(scales: Array) -> tuple[float, Array]:
        amplitude, noise = np.exp(scales[-2:])
        kernel = amplitude * _kernel(named, scales, apart)
        factor = cholesky(kernel + (noise + _JITTER) * identity, lower=True)
        weights = cho_solve((factor, True), wanted)
        fit = 0.5 * wanted @ weights + np.log(factor.diagonal()).sum()
        # Rasmussen & Williams 2006, equation 5.9: of each scale, half the trace of this times the kernel's derivative
        outer = 0.5 * (cho_solve((factor, True), identity) - np.outer(weights, weights))
        inner = outer * kernel
        slopes = [-float(np.vdot(inner, each)) for each in _slopes(named, scales, apart)]
        gradient = np.array([*slopes, inner.sum(), noise * outer.trace()])
        return float(fit + 0.5 * ((scales - means) ** 2).sum()), gradient + scales - means

    bounds = [(mean - _FARTHEST, mean + _FARTHEST) for mean in means]
    found: Array = minimize(loss, means, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}).x
    return found


def _apart(named: NDArray[np.bool_], left: Array, right: Array) -> Iterator[Array]:
    """Yield of each column where names differ, or how far numbers are apart: float64 `[left, right]`."""
    for column, is_name in enumerate(named.tolist()):
        apart = np.subtract.outer(left[:, column], right[:, column])
        yield (apart != 0).astype(np.float64) if is_name else np.abs(apart)


def _kernel(named: NDArray[np.bool_], scales: Array, apart: Iterable[Array]) -> Array:
    """Return the kernel between places, without the amplitude: `[left, right]`."""
    exponent, factor = np.zeros(()), np.ones(())
    for is_name, width, column in zip(named, np.exp(scales), apart, strict=False):
        if is_name:
            exponent = exponent - width * column
        else:
            reach = 5**0.5 * width * column
            exponent, factor = exponent - reach, factor * (1 + reach + reach * reach / 3)
    return factor * np.exp(exponent)


def _slopes(named: NDArray[np.bool_], scales: Array, apart: Iterable[Array]) -> Iterator[Array]:
    """Yield by how much the logarithm of the kernel falls as the logarithm of each column's scale rises."""
    for is_name, width, column in zip(named, np.exp(scales), apart, strict=False):
        reach = 5**0.5 * width * column
        yield width * column if is_name else reach * reach * (1 + reach) / (3 + 3 * reach + reach * reach)

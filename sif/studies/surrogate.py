"""A Gaussian process over configurations: what is expected of those that were not tried."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from nasp_core.trials.gaussian_process import expected_improvement, posterior

__all__ = ["Surrogate", "likeliest_scales"]

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
    places: NDArray[np.float64]
    targets: Tensor
    scales: Tensor

    def gain(self, places: NDArray[np.float64]) -> Tensor:
        """Return the expected improvement on the best target at new places `[m, dimensions]`: float64 `[m]`."""
        known, new = torch.from_numpy(self.places), torch.from_numpy(places)
        amplitude, noise = self.scales[-2].exp(), float(self.scales[-1].exp()) + _JITTER
        gram, cross = (
            amplitude * _kernel(self.named, self.scales, _apart(self.named, known, other)) for other in (known, new)
        )
        mean, variance = posterior(gram, cross, amplitude.expand(len(new)), self.targets, noise)
        return expected_improvement(mean, variance.clamp_min(1e-10), float(self.targets.max()))


def likeliest_scales(named: NDArray[np.bool_], places: NDArray[np.float64], targets: Tensor) -> Tensor:
    """Return the logarithms of the columns' scales, the amplitude and the noise's variance: float64 `[dimensions + 2]`.

    They are the likeliest after `targets` under log-normal priors, found by L-BFGS from the priors' means.
    """
    means = [*(_NAMED if each else _NUMBER for each in named), _AMPLITUDE, _NOISE]
    prior, known = torch.tensor(means, dtype=torch.float64), torch.from_numpy(places)
    apart = _apart(named, known, known)
    identity = torch.eye(len(places), dtype=torch.float64)

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scales = torch.tensor(values, requires_grad=True)
        with torch.enable_grad():
            gram = scales[-2].exp() * _kernel(named, scales, apart)
            factor = torch.linalg.cholesky(gram + (scales[-1].exp() + _JITTER) * identity)
            half = torch.linalg.solve_triangular(factor, targets[:, None], upper=False)
            fit = 0.5 * half.square().sum() + factor.diagonal().log().sum()
            total = fit + 0.5 * (scales - prior).square().sum()
            (gradient,) = torch.autograd.grad(total, scales)
        return total.item(), gradient.numpy()

    bounds = [(mean - _FARTHEST, mean + _FARTHEST) for mean in means]
    found = minimize(loss, means, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS})
    return torch.from_numpy(found.x)


def _apart(named: NDArray[np.bool_], left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return where names differ and how far numbers are apart: float64 `[columns, left, right]`, each its own."""
    apart = left.T[:, :, None] - right.T[:, None, :]
    names = torch.from_numpy(named)
    return (apart[names] != 0).double(), apart[~names].abs()


def _kernel(named: NDArray[np.bool_], scales: Tensor, apart: tuple[Tensor, Tensor]) -> Tensor:
    """Return the kernel between places, without the amplitude: `[left, right]`."""
    width, names = scales[:-2].exp(), torch.from_numpy(named)
    reach = 5**0.5 * width[~names, None, None] * apart[1]
    exponent = torch.tensordot(width[names], apart[0], 1) + reach.sum(0)
    kernel: Tensor = (1 + reach + reach.square() / 3).prod(0) * (-exponent).exp()
    return kernel

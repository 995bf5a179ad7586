"""Gaussian processes on a given kernel: posterior, marginal likelihood, expected improvement."""

import math

import torch
from torch import Tensor

__all__ = ["expected_improvement", "log_marginal", "posterior"]


def posterior(gram: Tensor, cross: Tensor, prior: Tensor, targets: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Return mean and variance at new points (Rasmussen & Williams 2006, algorithm 2.1).

    Shapes, float64: `gram` `[n, n]` between the known points, `cross` `[n, m]` from known to new, `prior` `[m]` the
    kernel of each new point with itself, `targets` `[n]` with mean zero; returns `[m]` and `[m]`. `noise` is the
    variance of the targets' noise; the variances are of the function, without it.
    """
    factor = _factor(gram, noise)
    weights = torch.cholesky_solve(targets[:, None], factor)
    half = torch.linalg.solve_triangular(factor, cross, upper=False)
    return (cross.T @ weights).squeeze(1), (prior - half.square().sum(dim=0)).clamp_min(0.0)


def log_marginal(gram: Tensor, targets: Tensor, noise: float) -> float:
    """Return the log-likelihood of the targets `[n]` under the kernel `[n, n]` and the noise (equation 2.30)."""
    factor = _factor(gram, noise)
    fit = torch.linalg.solve_triangular(factor, targets[:, None], upper=False).square().sum()
    return float(-0.5 * fit - factor.diagonal().log().sum() - 0.5 * len(targets) * math.log(2 * math.pi))


def expected_improvement(mean: Tensor, variance: Tensor, best: float) -> Tensor:
    """Return E[max(f - best, 0)] for f ~ N(mean, variance): shapes `[m]`, as all arguments."""
    deviation = variance.sqrt().clamp_min(1e-12)
    z = (mean - best) / deviation
    density = (-0.5 * z.square()).exp() / math.sqrt(2 * math.pi)
    improvement: Tensor = (mean - best) * torch.special.ndtr(z) + deviation * density
    return improvement


def _factor(gram: Tensor, noise: float) -> Tensor:
    factor: Tensor = torch.linalg.cholesky(gram + noise * torch.eye(len(gram), dtype=gram.dtype))
    return factor

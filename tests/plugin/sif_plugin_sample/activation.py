"""Soft sign."""

from torch import Tensor


def soft_sign(x: Tensor) -> Tensor:
    """Return x / (1 + |x|)."""
    return x / (1 + x.abs())

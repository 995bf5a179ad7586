"""How alpha learns: one gradient a file."""

from nasp_core.gradient.first_order import FirstOrder
from nasp_core.gradient.unrolled import Unrolled

__all__ = ["FirstOrder", "Unrolled"]

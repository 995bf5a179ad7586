"""The operations on two vectors that ship, by name."""

from collections.abc import Mapping

from sif.operations.base import Operation
from sif.operations.concat import Concat
from sif.operations.max import Max
from sif.operations.min import Min
from sif.operations.minus import Minus
from sif.operations.multiply import Multiply
from sif.operations.plus import Plus

__all__ = ["OPERATIONS"]

OPERATIONS: Mapping[str, Operation] = {
    each.name: each for each in (Plus(), Minus(), Multiply(), Max(), Min(), Concat())
}
"""Operations on two vectors by name."""

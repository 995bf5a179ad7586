"""The operations that join the vectors of two sides (or three), a file each, and their kernels."""

from sif.operations.base import Operation
from sif.operations.known import (
    OPERATIONS,
    additive,
    canonical,
    equivalence_class,
    operation,
    operation_names,
    size_problems,
)
from sif.operations.predictors import PREDICTORS

__all__ = [
    "OPERATIONS",
    "PREDICTORS",
    "Operation",
    "additive",
    "canonical",
    "equivalence_class",
    "operation",
    "operation_names",
    "size_problems",
]

"""The operations that ship, by name: on two vectors, and two of these one after the other, on three."""

from collections.abc import Mapping

from torch import Tensor

from sif.operations.base import Operation
from sif.operations.block import ANALOGY, COMPLEX, SIMPLE
from sif.operations.concat import Concat
from sif.operations.max import Max
from sif.operations.min import Min
from sif.operations.minus import Minus
from sif.operations.multiply import Multiply
from sif.operations.plus import Plus

__all__ = ["OPERATIONS", "TENSOR_OPERATIONS"]

OPERATIONS: Mapping[str, Operation] = {
    each.name: each for each in (Plus(), Minus(), Multiply(), Max(), Min(), Concat(), COMPLEX, ANALOGY, SIMPLE)
}
"""Operations on two vectors by name."""


_INNER = ("plus", "multiply", "max", "min")
_GROUPINGS = ((0, 1, 2), (0, 2, 1), (1, 2, 0))


class _Composition(Operation):
    """outer(inner(a, b), c), with the modes in an order."""

    modes = 3

    def __init__(self, inner: str, outer: str, order: tuple[int, int, int] = (0, 1, 2)) -> None:
        self.inner, self.outer, self.order = OPERATIONS[inner], OPERATIONS[outer], order
        i, j, k = order
        self.formula = self.outer.formula.format(self.inner.formula.format(f"{{{i}}}", f"{{{j}}}"), f"{{{k}}}")
        self.width = self.inner.width if self.outer.width == 1 else self.inner.width + 1
        self.product = self.outer.product

    def forward(self, *modes: Tensor) -> Tensor:
        """Return the composition."""
        i, j, k = self.order
        return self.outer.forward(self.inner.forward(modes[i], modes[j]), modes[k])


def _tensor_operations() -> dict[str, Operation]:
    """Return the 53 distinct compositions of two operations over three modes.

    `g_a_b` joins the two modes of grouping g (0: user and item, 1: user and context, 2: item and context)
    by a, and the third mode by b, for a != b and `concat` only last; where a = b the grouping does not
    matter, so these five stand once, without a grouping. (In the published code `multiply_multiply` adds.)
    """
    table: dict[str, Operation] = {
        f"{grouping}_{inner}_{outer}": _Composition(inner, outer, order)
        for grouping, order in enumerate(_GROUPINGS)
        for inner in _INNER
        for outer in (*_INNER, "concat")
        if inner != outer
    }
    return table | {f"{name}_{name}": _Composition(name, name) for name in (*_INNER, "concat")}


TENSOR_OPERATIONS: Mapping[str, Operation] = _tensor_operations()
"""Operations on three vectors by name: `0_plus_multiply`, ..., `concat_concat`."""

"""The vector operations of interaction functions, for two and for three modes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["OPERATIONS", "TENSOR_OPERATIONS", "Operation", "family"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One way to join vectors: `function` maps one `[..., dim]` tensor a mode to `[..., width * dim]`."""

    function: Callable[..., Tensor]
    width: int
    formula: str
    """The operation as a person writes it, with {0}, {1}, ... for the modes."""
    product: bool = False
    """Whether the result is a product, whose sign any one mode can turn."""


def _concat(*vectors: Tensor) -> Tensor:
    return torch.cat(vectors, dim=-1)


OPERATIONS: Mapping[str, Operation] = {
    "plus": Operation(torch.add, 1, "({0} + {1})"),
    "minus": Operation(torch.sub, 1, "({0} - {1})"),
    "multiply": Operation(torch.mul, 1, "({0} * {1})", product=True),
    "max": Operation(torch.maximum, 1, "max({0}, {1})"),
    "min": Operation(torch.minimum, 1, "min({0}, {1})"),
    "concat": Operation(_concat, 2, "[{0}; {1}]"),
}
"""Operations on two vectors by name; all keep the size but `concat`, which doubles it."""

_INNER = ("plus", "multiply", "max", "min")
_GROUPINGS = ((0, 1, 2), (0, 2, 1), (1, 2, 0))


def _compose(inner: str, outer: str, order: tuple[int, int, int]) -> Operation:
    first, second = OPERATIONS[inner], OPERATIONS[outer]
    i, j, k = order

    def apply(*modes: Tensor) -> Tensor:
        return second.function(first.function(modes[i], modes[j]), modes[k])

    text = second.formula.format(first.formula.format(f"{{{i}}}", f"{{{j}}}"), f"{{{k}}}")
    return Operation(apply, first.width if second.width == 1 else first.width + 1, text, second.product)


def _tensor_operations() -> dict[str, Operation]:
    """Return the 53 distinct compositions of two operations over three modes.

    `g_a_b` joins the two modes of grouping g (0: user and item, 1: user and context, 2: item and context)
    by a, and the third mode by b, for a != b and `concat` only last; where a = b the grouping does not
    matter, so these five stand once, without a grouping. (In the published code `multiply_multiply` adds.)
    """
    table = {
        f"{grouping}_{inner}_{outer}": _compose(inner, outer, order)
        for grouping, order in enumerate(_GROUPINGS)
        for inner in _INNER
        for outer in (*_INNER, "concat")
        if inner != outer
    }
    table |= {f"{name}_{name}": _compose(name, name, (0, 1, 2)) for name in (*_INNER, "concat")}
    return table


TENSOR_OPERATIONS: Mapping[str, Operation] = _tensor_operations()
"""Operations on three vectors by name: `0_plus_multiply`, ..., `concat_concat`."""


_SAME = {"minus": "plus", "concat": "plus"}
_MIRROR = {"max": "min", "min": "max"}


def family(name: str) -> str:
    """Return one name for all operations that span the same set of functions, without element-wise networks.

    With free embeddings and a linear predictor, w . (u - v) is w . (u + v) with v negated; [u; v] is u + v with
    the predictor's second half moved into v; max(u, v) is -min(-u, -v), and a product's sign can be moved into
    one mode. So `concat` and `minus` join `plus`, and a name and its mirror (max and min exchanged) are one.
    """
    grouping, *parts = name.split("_") if name[0].isdigit() else ("", *name.split("_"))
    plain = [_SAME.get(part, part) for part in parts]
    plain = min(plain, [_MIRROR.get(part, part) for part in plain])
    if len(set(plain)) == 1:  # the grouping of one operation with itself does not matter
        grouping = ""
    return "_".join([grouping, *plain] if grouping else plain)

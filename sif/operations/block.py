"""Bilinear functions of four blocks of either vector, as AutoSF has them."""

from collections.abc import Sequence
from itertools import permutations, product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasp_core.errors import SpaceError
from sif.encodings.rows import Rows, inner
from sif.operations.base import Node, Operation
from sif.operations.tables import FoldedSide

__all__ = ["ANALOGY", "COMPLEX", "SIMPLE", "Block"]

_BLOCKS = 4
_NO_WEIGHTS = ("linear", "mlp", "distance")  # a sign goes into their weights, or is lost in a square
_Layers = list[tuple[list[int], list[int], list[float]]]


class Block(Operation):
    """Vectors cut into four blocks, and a 4 x 4 matrix that says which products of blocks are added up.

    Rows are the blocks of u, columns those of v. Entry k or -k puts plus or minus u_a * v_b into the k-th block of the
    result, which the k-th block of a linear predictor's weights weighs; 0 is no product. So w . o(u, v) is the bilinear
    function of Zhang et al., AutoSF, ICDE 2020, eq. 5 (AutoBLM, TPAMI 2022), with the one relation "likes", whose
    vector is w. The product u * v has 1, 2, 3, 4 on the diagonal. A form of your own is an object of a module of yours,
    offered as `package.module:object`:

        MINE = Block(((1, 2, 0, 0), (-2, 1, 0, 0), (0, 0, 3, 0), (0, 0, 0, 4)))

    What data can tell apart: w . o(u, v) = u' M v for a matrix M that all users and items share. With a table (or an
    encoding, which is linear in its table: histories too) of its own on either side, M goes into one of them, so that
    every form whose M can be inverted is the same set of functions as `multiply`, and stands in its equivalence class;
    one that cannot be inverted is a product of fewer dimensions. A form is more than the product where nothing can take
    M in: where both sides read one table (u' M v is then no symmetric function, which a product is), where an
    element-wise function bends both sides, and where an MLP or a distance reads several products in one entry.

    Args:
        matrix: Four rows of four of the numbers -4 to 4.
        name: Of a built-in form.
        letters: How it is written; by default with its matrix.

    Raises:
        SpaceError: It is no such matrix, or all of it is 0.
    """

    product = True
    negates = ()
    divisor = _BLOCKS

    def __init__(self, matrix: Sequence[Sequence[int]], name: str = "", letters: str = "") -> None:
        shape = [len(row) for row in matrix]
        entries = [entry for row in matrix for entry in row]
        if shape != [_BLOCKS] * _BLOCKS or any(entry not in range(-4, 5) for entry in entries) or not any(entries):
            raise SpaceError(
                f"block matrix {matrix!r}: give four rows of four whole numbers, -4 to 4, not all 0, such as "
                "((1, 0, 3, 0), (0, 2, 0, 4), (-3, 0, 1, 0), (0, -4, 0, 2))"
            )
        self.matrix, self.name = tuple(tuple(int(entry) for entry in row) for row in matrix), name
        rows = "; ".join(" ".join(map(str, row)) for row in self.matrix)
        self.formula = f"{letters or f'blocks[{rows}]'}({{0}}, {{1}})"
        terms = [(abs(k) - 1, a, b, k // abs(k)) for a, row in enumerate(self.matrix) for b, k in enumerate(row) if k]
        self._joined = _layers([(k, a, b, sign) for k, a, b, sign in terms])
        self._of_u = _layers([(a, k, b, sign) for k, a, b, sign in terms])
        self._of_v = _layers([(b, k, a, sign) for k, a, b, sign in terms])

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the four sums of products."""
        return _summed(self._joined, u, v)

    def gradient(self, grad: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return block forms of the gradient and the other side."""
        return _summed(self._of_u, grad, v), _summed(self._of_v, grad, u)

    def canonical(self, predictor: str, *, networks: bool) -> tuple[str, str] | None:
        """Return `multiply` where the form is a matrix that a table takes in.

        It is for `sum` and `linear` where the matrix can be inverted, and for every predictor where each block of u
        meets one of v, and that alone: the blocks of v in another order, some of them negated. The order is free under
        every element-wise function, the signs where the predictor has weights for them or squares them.
        """
        size, entries = _BLOCKS, [entry for row in self.matrix for entry in row if entry]
        lines = [*self.matrix, *zip(*self.matrix, strict=True)]
        single = all(sum(map(bool, line)) == 1 for line in lines) and len({*map(abs, entries)}) == size
        if single and (not networks or min(entries) > 0 or predictor in _NO_WEIGHTS):
            return "multiply", predictor
        weights = {"sum": (1, 1, 1, 1), "linear": (2, 3, 5, 7)}.get(predictor)
        return ("multiply", predictor) if weights and not networks and self._determinant(weights) else None

    def _determinant(self, weights: Sequence[int]) -> int:
        """Return that of M under weights of the blocks; a polynomial of them, and 0 everywhere or almost nowhere."""
        scaled = [[weights[abs(k) - 1] * (k > 0) - weights[abs(k) - 1] * (k < 0) for k in row] for row in self.matrix]
        return round(float(torch.linalg.det(torch.tensor(scaled, dtype=torch.float64))))

    def weighted(self, u: Rows, v: Rows, width: int, weight: Tensor | None = None) -> Tensor:
        """Return inner products, the matrix and the weights put to the users' vectors."""
        users = u if len(u.values) <= len(u) else Rows(u.full())
        weight = self._ones(users.values) if weight is None else weight
        return inner(Rows(_summed(self._of_v, weight, users.values), users.index), v, width)

    def fold_weighted(self, weight: Tensor, mode: int, x: Tensor) -> FoldedSide:
        """Fold to an inner product, the matrix and the weights in the user's table."""
        return FoldedSide.of(x.new_zeros(len(x)), product=x if mode else _summed(self._of_v, weight, x))

    def onnx(self, node: Node, user: str, item: str) -> str:
        """Take blocks by number, times their signs, and add the products up."""

        def blocks(name: str, shape: list[int], order: list[int], axis: int) -> str:
            cut = node("Reshape", name, node("Constant", value_ints=shape))
            return node("Gather", cut, node("Constant", value_ints=order), axis=axis)

        total = ""
        for first, second, signs in self._joined:
            signed = node("Reshape", node("Constant", value_floats=signs), node("Constant", value_ints=[_BLOCKS, 1]))
            of_user = node("Mul", blocks(user, [_BLOCKS, -1], first, 0), signed)
            term = node("Mul", of_user, blocks(item, [0, _BLOCKS, -1], second, 1))
            total = node("Add", total, term) if total else term
        return node("Flatten", total, axis=1)  # the blocks side by side again

    def grown(self) -> tuple["Block", ...]:
        """Return the forms with one product more, one of each class: a step of a greedy search for a form, as AutoSF's.

        Forms are alike that differ by the order or the sign of the blocks of u, of v or of the weights.
        """
        forms: dict[int, Block] = {}
        for row, column, entry in product(range(_BLOCKS), range(_BLOCKS), (1, 2, 3, 4, -1, -2, -3, -4)):
            if not self.matrix[row][column]:
                more = [list(line) for line in self.matrix]
                more[row][column] = entry
                forms.setdefault(_class_of(np.array(more)), Block(more))
        return tuple(forms.values())


def _layers(terms: Sequence[tuple[int, int, int, int]]) -> _Layers:
    """Return terms (out, first, second, sign) in layers: for each block of the result two blocks and a sign, or 0."""
    by_block = [[term for term in terms if term[0] == block] for block in range(_BLOCKS)]
    layers: _Layers = []
    for depth in range(max(map(len, by_block))):
        chosen = [here[depth][1:] if depth < len(here) else (0, 0, 0) for here in by_block]
        first, second, signs = zip(*chosen, strict=True)
        layers.append((list(first), list(second), [float(sign) for sign in signs]))
    return layers


def _summed(layers: _Layers, x: Tensor, y: Tensor) -> Tensor:
    """Return for each block the sum of the products of blocks of x and y that the layers name, `[..., dim]`."""
    x, y = (each.reshape(*each.shape[:-1], _BLOCKS, each.shape[-1] // _BLOCKS) for each in (x, y))
    total = None
    for first, second, signs in layers:
        left = x[..., first, :] * x.new_tensor(signs).unsqueeze(-1)
        term = left * y[..., second, :]
        total = term if total is None else total + term
    assert total is not None
    return total.flatten(-2)


def _class_of(matrix: NDArray[np.int64]) -> int:
    """Return one number for all matrices that differ by order and sign of rows, columns and weights."""
    orders = np.array(list(permutations(range(_BLOCKS))))
    signs = np.array(list(product((1, -1), repeat=_BLOCKS)))
    turned = matrix[orders][:, :, orders].transpose(0, 2, 1, 3)  # [orders, orders, 4, 4]
    rows = signs[:8, None, :, None] * signs[None, :, None, :]  # all signs turned round at once are those of the weights
    every = (turned[:, :, None, None] * rows).reshape(-1, _BLOCKS * _BLOCKS)
    size = np.abs(every)
    first = np.stack([np.where((size == k).any(1), (size == k).argmax(1), every.shape[1]) for k in range(1, 5)], 1)
    number = first.argsort(1).argsort(1) + 1  # weights are numbered as they come, the first of each +
    number *= np.sign(np.take_along_axis(every, first.clip(max=every.shape[1] - 1), 1)) | 1
    named = np.sign(every) * np.take_along_axis(np.concatenate([np.zeros((len(every), 1), int), number], 1), size, 1)
    return int((named @ 9 ** np.arange(every.shape[1])).min())


COMPLEX = Block(((1, 0, 3, 0), (0, 2, 0, 4), (-3, 0, 1, 0), (0, -4, 0, 2)), "block-complex", "complex")
"""Trouillon et al., ICML 2016: complex vectors, their real parts first, and weights that are complex too."""

ANALOGY = Block(((1, 0, 0, 0), (0, 2, 0, 0), (0, 0, 3, 4), (0, 0, -4, 3)), "block-analogy", "analogy")
"""Liu, Wu & Yang, ICML 2017: one half a product, the other complex."""

SIMPLE = Block(((0, 0, 1, 0), (0, 0, 0, 2), (3, 0, 0, 0), (0, 4, 0, 0)), "block-simple", "simple")
"""Kazemi & Poole, NeurIPS 2018: the halves of v exchanged. With tables of its own on either side it is the product."""

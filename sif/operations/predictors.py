"""The predictors, which make a score of what an operation joined: each with all that sif knows of it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sif.encodings.rows import Rows
from sif.operations.hinge import HINGE
from sif.operations.kernels import Tower
from sif.operations.tables import FoldedSide, MlpFactor

if TYPE_CHECKING:
    from sif.operations.base import Operation

__all__ = ["PREDICTORS", "Predictor"]

Parameters = Sequence[Tensor]


class Predictor:
    """Makes a score of a joined vector x `[..., width]`, under parameters of the `shapes`."""

    def shapes(self, width: int, hidden: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the shapes of the parameters; `hidden` are the units of an MLP's layers."""
        return []

    def score(self, x: Tensor, parameters: Parameters) -> Tensor:
        """Return the scores `[...]`."""
        raise NotImplementedError

    def scores(self, operation: Operation, u: Rows, v: Rows, width: int, parameters: Parameters) -> Tensor:
        """Return the scores `[n, width]` or `[n, m]` of many pairs, as the operation makes them fastest."""
        raise NotImplementedError

    def fold(self, operation: Operation, mode: int, x: Tensor, parameters: Parameters) -> FoldedSide:
        """Return what vectors `[n, dim]` bring to the score, as users (mode 0) or items (1)."""
        side = self.tables(operation, mode, x, parameters)
        return FoldedSide.of(x.new_zeros(len(x)), mlps=(x,)) if side is None else side

    def tables(self, operation: Operation, mode: int, x: Tensor, parameters: Parameters) -> FoldedSide | None:
        """Return the same where the operation has a rule for it."""
        raise NotImplementedError

    def mlp_factor(self, operation: Operation, name: str, parameters: Parameters, dim: int) -> MlpFactor:
        """Return what is served where no tables replace the operation of that name."""
        raise NotImplementedError

    def formula(self, joined: str, mark: str) -> str:
        """Return the score as a person writes it; `mark` tells branches apart."""
        raise NotImplementedError


class _Sum(Predictor):
    """The sum of the entries."""

    def score(self, x: Tensor, parameters: Parameters) -> Tensor:
        out: Tensor = x @ x.new_ones(x.shape[-1])
        return out

    def scores(self, operation: Operation, u: Rows, v: Rows, width: int, parameters: Parameters) -> Tensor:
        return operation.weighted(u, v, width)

    def tables(self, operation: Operation, mode: int, x: Tensor, parameters: Parameters) -> FoldedSide | None:
        return operation.fold_weighted(x.new_ones(operation.width * x.shape[1]), mode, x)

    def mlp_factor(self, operation: Operation, name: str, parameters: Parameters, dim: int) -> MlpFactor:
        return MlpFactor(name, ((torch.ones(1, operation.width * dim), torch.zeros(1)),))

    def formula(self, joined: str, mark: str) -> str:
        return f"sum({_bare(joined)})"


class _Linear(Predictor):
    """w . x, for parameters [w]."""

    def shapes(self, width: int, hidden: tuple[int, ...]) -> list[tuple[int, ...]]:
        return [(width,)]

    def score(self, x: Tensor, parameters: Parameters) -> Tensor:
        out: Tensor = x @ parameters[0]
        return out

    def scores(self, operation: Operation, u: Rows, v: Rows, width: int, parameters: Parameters) -> Tensor:
        return operation.weighted(u, v, width, parameters[0])

    def tables(self, operation: Operation, mode: int, x: Tensor, parameters: Parameters) -> FoldedSide | None:
        return operation.fold_weighted(parameters[0].to(x), mode, x)

    def mlp_factor(self, operation: Operation, name: str, parameters: Parameters, dim: int) -> MlpFactor:
        return MlpFactor(name, ((parameters[0].unsqueeze(0), parameters[0].new_zeros(1)),))

    def formula(self, joined: str, mark: str) -> str:
        return f"w{mark} . {joined if joined.startswith(('(', '[')) or '(' in joined else f'({joined})'}"


class _Mlp(Predictor):
    """An MLP: linear layers with a ReLU between, the last of one unit and without a bias; parameters as of `Tower`."""

    def shapes(self, width: int, hidden: tuple[int, ...]) -> list[tuple[int, ...]]:
        sizes = (width, *hidden)
        layers = [shape for i, o in itertools.pairwise(sizes) for shape in ((o, i), (o,))]
        return [*layers, (1, sizes[-1])]

    def score(self, x: Tensor, parameters: Parameters) -> Tensor:
        return Tower().score(x, parameters)

    def scores(self, operation: Operation, u: Rows, v: Rows, width: int, parameters: Parameters) -> Tensor:
        return operation.mlp(u, v, width, parameters)

    def tables(self, operation: Operation, mode: int, x: Tensor, parameters: Parameters) -> FoldedSide | None:
        weight, bias, *rest = (each.to(x) for each in parameters)
        halves = operation.halves(weight)
        if halves is None:
            return None
        hidden = x @ halves[mode].T + (0.0 if mode else bias)
        if len(rest) == 1:
            return HINGE.fold_weighted(rest[0][0], mode, hidden)
        return FoldedSide.of(x.new_zeros(len(x)), mlps=(hidden,))

    def mlp_factor(self, operation: Operation, name: str, parameters: Parameters, dim: int) -> MlpFactor:
        *layers, last = parameters
        pairs = [*zip(layers[::2], layers[1::2], strict=True), (last, last.new_zeros(1))]
        if operation.halves(parameters[0]) is None:
            return MlpFactor(name, tuple(pairs))
        return MlpFactor(HINGE.name, tuple(pairs[1:]))

    def formula(self, joined: str, mark: str) -> str:
        return f"mlp{mark}{joined}" if joined.startswith("[") else f"mlp{mark}({_bare(joined)})"


class _Distance(Predictor):
    """-||x||^2."""

    def score(self, x: Tensor, parameters: Parameters) -> Tensor:
        return -x.square().sum(-1)

    def scores(self, operation: Operation, u: Rows, v: Rows, width: int, parameters: Parameters) -> Tensor:
        return operation.distance(u, v, width)

    def tables(self, operation: Operation, mode: int, x: Tensor, parameters: Parameters) -> FoldedSide | None:
        return operation.fold_distance(mode, x)

    def mlp_factor(self, operation: Operation, name: str, parameters: Parameters, dim: int) -> MlpFactor:
        return MlpFactor(name, ())

    def formula(self, joined: str, mark: str) -> str:
        return f"-||{_bare(joined)}||^2"


def _bare(joined: str) -> str:
    """Return a text without the parentheses around the whole of it."""
    inside = joined[1:-1]
    whole = joined.startswith("(") and joined.endswith(")")
    closed = [inside[:end].count(")") > inside[:end].count("(") for end in range(len(inside) + 1)]
    return inside if whole and not any(closed) else joined


PREDICTORS: Mapping[str, Predictor] = {"sum": _Sum(), "linear": _Linear(), "mlp": _Mlp(), "distance": _Distance()}
"""The predictors by name."""

"""The predictors, which make a score of what an operation joined: each with all that sif knows of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from sif.encodings.rows import Rows
from sif.operations.hinge import HINGE
from sif.operations.kernels import Tower
from sif.operations.tables import FoldedSide, MlpFactor

if TYPE_CHECKING:
    from sif.operations.base import Operation

__all__ = ["PREDICTORS", "Predictor"]

Parameters = Sequence[Tensor]


class Predictor:
    """Makes a score of a joined vector x `[..., width]`, under parameters of the `shapes`.

    What is joined are a side's `vectors`: as they are encoded, unless the predictor says otherwise.
    """

    def shapes(self, width: int, hidden: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the shapes of the parameters; `hidden` are the units of an MLP's layers."""
        return []

    def start(self, operation: Operation, weight: Tensor) -> None:
        """Set the one parameter of a predictor that has one to what it starts at."""
        raise NotImplementedError

    def vectors(self, x: Tensor) -> Tensor:
        """Return what is joined of a side's vectors `[..., dim]`."""
        return x

    def read(self, operation: Operation, sides: Sequence[Tensor], parameters: Parameters) -> Tensor:
        """Return the scores `[...]` of vectors `[..., dim]`, one a side, by definition."""
        return self.score(operation.forward(*map(self.vectors, sides)), parameters)

    def score(self, x: Tensor, parameters: Parameters) -> Tensor:
        """Return the scores `[...]`."""
        raise NotImplementedError

    def scores(self, operation: Operation, u: Rows, v: Rows, width: int, parameters: Parameters) -> Tensor:
        """Return the scores `[n, width]` or `[n, m]` of many pairs, as the operation makes them fastest."""
        raise NotImplementedError

    def fold(self, operation: Operation, mode: int, x: Tensor, parameters: Parameters) -> FoldedSide:
        """Return what vectors `[n, dim]` bring to the score, as users (mode 0) or items (1)."""
        x = self.vectors(x)
        side = self.tables(operation, mode, x, parameters)
        return FoldedSide.of(x.new_zeros(len(x)), mlps=(x,)) if side is None else side

    def tables(self, operation: Operation, mode: int, x: Tensor, parameters: Parameters) -> FoldedSide | None:
        """Return the same of `vectors`, where the operation has a rule for it."""
        raise NotImplementedError

    def mlp_factor(self, operation: Operation, name: str, parameters: Parameters, dim: int) -> MlpFactor:
        """Return what is served where no tables replace the operation of that name."""
        raise NotImplementedError

    def formula(self, joined: str, mark: str) -> str:
        """Return the score of a joined vector as a person writes it; `mark` tells branches apart."""
        raise NotImplementedError

    def written(self, operation: Operation, sides: Sequence[str], mark: str = "") -> str:
        """Return the score of vectors that are written so, one a side."""
        return self.formula(operation.formula.format(*sides), mark)


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

    def start(self, operation: Operation, weight: Tensor) -> None:
        """Of a product: ones (the sum); of others: norm 1, signs by turns."""
        if operation.product:
            weight.fill_(1.0)
        else:
            weight.fill_(weight.numel() ** -0.5)
            weight[1::2].neg_()

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


class _Cosine(Predictor):
    """The sum of the entries over a temperature, of sides brought to length 1: of a product, cos(u, v) / t.

    Parameters `[log t]`, so that t > 0; Mao et al. (SimpleX, CIKM 2021) have the cosine itself, t = 1. A vector
    shorter than `_SHORT`, as an empty history's, is joined as next to nothing, and scores 0. Minus the squared
    distance of unit vectors is 2 cos(u, v) - 2, so there is no `distance` of them beside.
    """

    def shapes(self, width: int, hidden: tuple[int, ...]) -> list[tuple[int, ...]]:
        return [(1,)]

    def start(self, operation: Operation, weight: Tensor) -> None:
        weight.fill_(math.log(_TEMPERATURE))

    def vectors(self, x: Tensor) -> Tensor:
        return functional.normalize(x, dim=-1, eps=_SHORT)

    def score(self, x: Tensor, parameters: Parameters) -> Tensor:
        return x.sum(-1) * self._scale(parameters)

    def scores(self, operation: Operation, u: Rows, v: Rows, width: int, parameters: Parameters) -> Tensor:
        u, v = (Rows(self.vectors(side.values), side.index) for side in (u, v))
        return operation.weighted(u, v, width) * self._scale(parameters)

    def tables(self, operation: Operation, mode: int, x: Tensor, parameters: Parameters) -> FoldedSide | None:
        weight = x.new_ones(operation.width * x.shape[1]) * self._scale(parameters).to(x)
        return operation.fold_weighted(weight, mode, x)

    def mlp_factor(self, operation: Operation, name: str, parameters: Parameters, dim: int) -> MlpFactor:
        scale = self._scale(parameters)
        return MlpFactor(name, ((scale.expand(1, operation.width * dim).clone(), torch.zeros_like(scale)),))

    def formula(self, joined: str, mark: str) -> str:
        return f"sum({_bare(joined)}) / t{mark}"

    def written(self, operation: Operation, sides: Sequence[str], mark: str = "") -> str:
        """Return `cos(u, v) / t` of the product, and of others such as `sum(max(unit(u), unit(v))) / t`."""
        if operation.formula == _PRODUCT:
            return f"cos({', '.join(map(_bare, sides))}) / t{mark}"
        return super().written(operation, [f"unit({_bare(side)})" for side in sides], mark)

    @staticmethod
    def _scale(parameters: Parameters) -> Tensor:
        """Return 1 / t, `[1]`."""
        return torch.exp(-parameters[0])


_PRODUCT = "({0} * {1})"
_SHORT = 1e-6  # what rounding may leave of a history with nothing in it is shorter, and is not blown up
_TEMPERATURE = 1.0  # from .1 and .2, where trainings end, they end worse


def _bare(joined: str) -> str:
    """Return a text without the parentheses around the whole of it."""
    inside = joined[1:-1]
    whole = joined.startswith("(") and joined.endswith(")")
    closed = [inside[:end].count(")") > inside[:end].count("(") for end in range(len(inside) + 1)]
    return inside if whole and not any(closed) else joined


PREDICTORS: Mapping[str, Predictor] = {
    "sum": _Sum(),
    "linear": _Linear(),
    "mlp": _Mlp(),
    "distance": _Distance(),
    "cosine": _Cosine(),
}
"""The predictors by name."""

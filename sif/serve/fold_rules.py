"""How each function of two vectors comes apart into tables, one rule an operation and predictor.

Beside w_j (u_j v_j) for `multiply`, the rules are these identities:

- w max(a, b) is max(wa, wb) for w >= 0 and min(wa, wb) for w < 0, and max, min(a, b) = (a + b)/2 +- |a - b|/2: a
  weighted sum of maxima is a bias a side and two L1 distances.
- -||u -+ v||^2 = -||u||^2 - ||v||^2 +- 2 <u, v>, and -||u * v||^2 = -<u * u, v * v>.
- max(a, b)^2 = max(a+^2, b+^2) + min(a-^2, b-^2) with x+ = max(x, 0), x- = max(-x, 0).
- relu(p + q) = max(p, -q) + q: an MLP of one hidden layer on a sum is a weighted sum of maxima too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sif.serve.tables import Deep, Side, Tables
from sif.spaces.interaction import InteractionNetwork

__all__ = ["encoded", "fold", "fold_side"]

_MIRROR = {"max": "min", "min": "max"}
_ADDITIVE = ("plus", "minus", "concat")


class _Function(NamedTuple):
    """One branch: predictor(operation(u, v)); `weight` is that of a linear predictor, `layers` are those of an MLP."""

    operation: str
    predictor: str
    weight: Tensor | None
    layers: tuple[tuple[Tensor, Tensor], ...] = ()


@torch.no_grad()
def fold(network: Any) -> Tables:
    """Return the tables of an `InteractionNetwork` of two modes or a `WideNetwork`; they keep no tie to it."""
    n_users, n_items = network.sizes
    of_users, of_items = encoded(network, "user"), encoded(network, "item")
    bias = of_users[0].new_zeros(n_users + n_items)
    if network.bias is not None and network.offset is not None:
        bias = network.bias.detach().squeeze(-1).clone()
        bias[:n_users] += network.offset
    users = fold_side(network, "user", of_users, bias[:n_users])
    items = fold_side(network, "item", of_items, bias[n_users:])
    deep = (Deep(*_deep(function)) for function in _functions(network) if _stays_deep(function))
    return Tables(users, items, tuple(deep))


@torch.no_grad()
def encoded(network: Any, side: str) -> list[Tensor]:
    """Return the vectors `[n, dim]` that the operation of each branch joins, for all of one side."""
    if not isinstance(network, InteractionNetwork):
        return list(network.encoded(side))
    mode = ("user", "item").index(side)
    rows = torch.split(network.embedding.detach(), list(network.sizes))[mode]
    if network.elementwise is None:
        return [rows]
    return [network.elementwise(rows.expand(len(network.sizes), *rows.shape))[mode]]


@torch.no_grad()
def fold_side(network: Any, side: str, vectors: Sequence[Tensor], bias: Tensor) -> Side:
    """Return what vectors, one tensor `[n, dim]` a branch, and biases `[n]` bring to a score, as users or as items."""
    mode = ("user", "item").index(side)
    functions = _functions(network)
    parts = [Side.of(bias.double())]
    parts += [_piece(function, mode, rows.double()) for function, rows in zip(functions, vectors, strict=True)]
    return Side.joined(parts).float()


def _functions(network: Any) -> list[_Function]:
    if isinstance(network, InteractionNetwork):
        return [_Function(network.operation, "linear", network.predictor.weight.detach())]
    return [
        _Function(branch.operation, branch.predictor, branch.weight, _layers(branch.layers))
        for branch in network.branches
    ]


def _layers(module: nn.Module | None) -> tuple[tuple[Tensor, Tensor], ...]:
    linear = [] if module is None else [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return tuple((layer.weight.detach().clone(), _bias(layer)) for layer in linear)


def _bias(layer: nn.Linear) -> Tensor:
    return layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias.detach().clone()


def _stays_deep(function: _Function) -> bool:
    return function.predictor == "mlp" and (function.operation not in _ADDITIVE or len(function.layers) > 2)


def _deep(function: _Function) -> tuple[str, tuple[tuple[Tensor, Tensor], ...]]:
    if function.operation in _ADDITIVE:
        return "relu", function.layers[1:]
    return function.operation, function.layers


def _piece(function: _Function, mode: int, x: Tensor) -> Side:
    if function.predictor == "mlp":
        return _mlp(function, mode, x)
    if function.predictor == "distance":
        return _distance(function.operation, mode, x)
    width = 2 if function.operation == "concat" else 1
    weight = x.new_ones(width * x.shape[1]) if function.weight is None else function.weight.detach().double()
    return _linear(function.operation, weight, mode, x)


def _linear(operation: str, weight: Tensor, mode: int, x: Tensor) -> Side:
    if operation == "multiply":
        return Side.of(x.new_zeros(len(x)), product=x if mode else x * weight)
    if operation in _MIRROR:
        return _extremum(operation, weight, x)
    return Side.of(x @ _own(operation, weight, mode, x))


def _own(operation: str, weight: Tensor, mode: int, x: Tensor) -> Tensor:
    """Return what a side's vector is weighted by `[..., dim]` in a weighted sum, difference or concatenation."""
    if operation == "concat":
        return weight[..., x.shape[1] :] if mode else weight[..., : x.shape[1]]
    return -weight if operation == "minus" and mode else weight


def _extremum(operation: str, weight: Tensor, x: Tensor) -> Side:
    half = x * weight / 2
    rises = (weight >= 0) == (operation == "max")  # what is left is a maximum, not a minimum
    return Side.of(half.sum(1), apart=half[:, rises], near=half[:, ~rises])


def _distance(operation: str, mode: int, x: Tensor) -> Side:
    square = x.square()
    if operation in _MIRROR:
        above, below = x.clamp_min(0).square(), x.clamp_max(0).square()
        weight = -x.new_ones(x.shape[1])
        pair = (_extremum(operation, weight, above), _extremum(_MIRROR[operation], weight, below))
        return Side.joined(pair)
    if operation == "multiply":
        return Side.of(x.new_zeros(len(x)), product=square if mode else -square)
    if operation == "concat":
        return Side.of(-square.sum(1))
    twice = 2.0 if operation == "minus" else -2.0
    return Side.of(-square.sum(1), product=x if mode else twice * x)


def _mlp(function: _Function, mode: int, x: Tensor) -> Side:
    none = x.new_zeros(len(x))
    if function.operation not in _ADDITIVE:
        return Side.of(none, deep=(x,))
    (weight, bias), *rest = [(weight.double(), bias.double()) for weight, bias in function.layers]
    hidden = x @ _own(function.operation, weight, mode, x).T + (0.0 if mode else bias)
    if _stays_deep(function):
        return Side.of(none, deep=(hidden,))
    ((outer, constant),) = rest
    if mode:
        return Side.joined([Side.of(hidden @ outer[0]), _extremum("max", outer[0], -hidden)])
    return Side.joined([Side.of(none + constant), _extremum("max", outer[0], hidden)])

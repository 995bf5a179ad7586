"""One function of a wide network: an operation that joins two vectors, and a predictor that makes a score of them."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from sif.encodings.rows import Rows, inner
from sif.encodings.sides import gather
from sif.operations.functions import OPERATIONS
from sif.operations.kernels import Distance, Tower, Weighted, read_pairs
from sif.spaces.wide_settings import ADDITIVE_PAIRS, WideSettings

__all__ = ["WideBranch"]

_PRODUCTS = 1 << 24  # hidden units of all pairs that may be held at once: 64 MiB of float32
_SPLIT = ("plus", "minus", "concat")
"""Operations whose linear maps are a sum of one map a side."""


def _linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """Return a linear layer without drawing from torch's global generator; `reset` draws its weights."""
    layer = nn.Linear(inputs, outputs, bias=bias, device="meta").to_empty(device="cpu")
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class WideBranch(nn.Module):
    """score(u, v) = predictor(operation(u, v)), for vectors after encoding and element-wise network.

    - `sum`: of the entries; `linear`: `weight` . x, `weight` float `[dim]` (`concat`: `[2 dim]`); `distance`: -||x||^2.
    - `mlp`: `layers`, linear ones with a ReLU between, the last of one unit and without a bias.
    """

    ones: Tensor

    def __init__(self, operation: str, predictor: str, settings: WideSettings) -> None:
        super().__init__()
        self.operation, self.predictor = operation, predictor
        self.additive = (operation, predictor) in ADDITIVE_PAIRS
        width = OPERATIONS[operation].width * settings.embedding_dim
        self.register_buffer("ones", torch.ones(width), persistent=False)
        self.weight = nn.Parameter(torch.zeros(width)) if predictor == "linear" else None
        sizes = (width, *settings.mlp) if predictor == "mlp" else ()
        layers = [_linear(*pair) for pair in itertools.pairwise(sizes)]
        self.layers = nn.ModuleList([*layers, _linear(sizes[-1], 1, bias=False)] if sizes else [])

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Start a linear predictor of a product at ones (the sum), others of norm 1, signs by turns; draw an MLP.

        An MLP's weights are uniform within 1 / sqrt(fan-in).
        """
        if self.weight is not None and self.operation == "multiply":
            self.weight.fill_(1.0)
        elif self.weight is not None:
            self.weight.fill_(self.weight.numel() ** -0.5)
            self.weight[1::2].neg_()
        for layer in self._linear():
            for parameter in layer.parameters():
                drawn = torch.rand(parameter.shape, generator=generator) * 2 - 1
                parameter.copy_(drawn * layer.in_features**-0.5)

    def _linear(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def join(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the scores `[...]` of vectors `[..., dim]`, broadcast against each other."""
        if self.operation == "concat":
            shape = (u[..., :1] + v[..., :1]).shape[:-1] + u.shape[-1:]
            u, v = u.expand(shape), v.expand(shape)
        x = OPERATIONS[self.operation].function(u, v)
        if self.predictor == "distance":
            return -x.square().sum(-1)
        if self.predictor == "mlp":
            return Tower().score(x, self._parameters_of_tower())
        return x @ (self.ones if self.weight is None else self.weight)

    def grid(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the scores float `[n, m]` of vectors `[n, dim]` with vectors `[m, dim]`, never n x m x dim at once."""
        return self.scores(Rows(u), Rows(v), 0)

    def scores(self, u: Rows, v: Rows, width: int) -> Tensor:
        """Return the scores `[n, width]` of n users with `width` items each, or with width 0 `[n, m]` with m items."""
        if self.additive:
            return self._added(u, v, width)
        if self.predictor == "mlp":
            return self._of_mlp(u, v, width)
        if self.predictor == "distance":
            return self._distance(u, v, width)
        if self.operation == "multiply":
            return inner(u, v, width, self.weight)
        weight = self.ones if self.weight is None else self.weight
        return read_pairs(self.operation, Weighted(), u, v, width, [weight])

    def _distance(self, u: Rows, v: Rows, width: int) -> Tensor:
        if self.operation in ("max", "min"):
            return read_pairs(self.operation, Distance(), u, v, width)
        if self.operation == "multiply":
            return -inner(Rows(u.values.square(), u.index), Rows(v.values.square(), v.index), width)
        cross = inner(u, v, width) * (2.0 if self.operation == "minus" else -2.0)
        return cross + _broadcast(_norms(u), _norms(v), width)

    def _added(self, u: Rows, v: Rows, width: int) -> Tensor:
        """Return f(user) + g(item)."""
        if self.predictor == "distance":
            return _broadcast(_norms(u), _norms(v), width)
        weight = self.ones if self.weight is None else self.weight
        first, second = weight.chunk(2) if self.operation == "concat" else (weight, weight)
        g = v.values @ second
        return _broadcast(Rows(u.values @ first, u.index), Rows(-g if self.operation == "minus" else g, v.index), width)

    def _parameters_of_tower(self) -> list[Tensor]:
        return [parameter for layer in self._linear() for parameter in layer.parameters()]

    def _of_mlp(self, u: Rows, v: Rows, width: int) -> Tensor:
        """Return the MLP's scores, its first layer applied to each side's table where it splits."""
        parameters = self._parameters_of_tower()
        if self.operation == "multiply" and not width:
            of_users, of_items = u.full(), v.full()
            if len(of_users) * len(of_items) * len(parameters[0]) <= _PRODUCTS:
                return _tower_of_products(of_users, of_items, parameters)
        if self.operation not in _SPLIT:
            return read_pairs(self.operation, Tower(), u, v, width, parameters)
        weight, bias, *rest = parameters
        first, second = weight.chunk(2, dim=1) if self.operation == "concat" else (weight, weight)
        if self.operation == "minus":
            second = -second
        a = Rows(functional.linear(u.values, first), u.index)
        b = Rows(functional.linear(v.values, second, bias), v.index)
        if len(rest) == 1:
            return read_pairs("hinge", Weighted(), a, b, width, [rest[0].squeeze(0)])
        return read_pairs("hinge", Tower(), a, b, width, rest)


def _tower_of_products(u: Tensor, v: Tensor, parameters: list[Tensor]) -> Tensor:
    """Return an MLP of u * v as `[n, m]`: a unit of its first layer is an inner product of weighted vectors."""
    weight, bias, *rest = parameters
    units = (u.unsqueeze(1) * weight).flatten(0, 1) @ v.T  # [n * units, m]
    hidden = (units.view(len(u), len(weight), len(v)) + bias.unsqueeze(1)).relu_()
    for weight, bias in zip(rest[:-1:2], rest[1::2], strict=True):
        hidden = (weight @ hidden + bias.unsqueeze(1)).relu_()
    return torch.matmul(rest[-1], hidden).squeeze(1)


def _norms(rows: Rows) -> Rows:
    """Return -||row||^2 of each, as rows `[r]`."""
    return Rows(-rows.values.square().sum(-1), rows.index)


def _broadcast(f: Rows, g: Rows, width: int) -> Tensor:
    """Return f + g `[n, width]` or `[n, m]` of scalars as rows, gathered last."""
    first, second = (
        part.values if part.index is None else gather(part.values.unsqueeze(-1), part.index)[0].squeeze(-1)
        for part in (f, g)
    )
    return first.unsqueeze(1) + (second.view(-1, width) if width else second)

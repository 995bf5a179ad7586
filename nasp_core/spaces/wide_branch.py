"""One function of a wide network: an operation that joins two vectors, and a predictor that makes a score of them."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.spaces.operations import OPERATIONS
from nasp_core.spaces.sides import gather
from nasp_core.spaces.wide_kernels import ComposedJoin, Rows, VectorJoin, pair_scores
from nasp_core.spaces.wide_settings import ADDITIVE_PAIRS, WideSettings

__all__ = ["WideBranch"]

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
            return self._tower(x, *self._parameters_of_tower())
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
        if not width and (self.operation == "multiply" or self.predictor == "distance"):
            product = self._product(u.full(), v.full())
            if product is not None:
                return product
        if self.predictor == "distance":
            return pair_scores(VectorJoin(self.operation, distance=True), u, v, width)
        return pair_scores(VectorJoin(self.operation), u, v, width, self.ones if self.weight is None else self.weight)

    def _added(self, u: Rows, v: Rows, width: int) -> Tensor:
        """Return f(user) + g(item)."""
        halves = [u.values, v.values]
        if self.predictor == "distance":
            parts = [-half.square().sum(-1) for half in halves]
        else:
            weight = self.ones if self.weight is None else self.weight
            pieces = weight.chunk(2) if self.operation == "concat" else (weight, weight)
            parts = [half @ piece for half, piece in zip(halves, pieces, strict=True)]
        if self.operation == "minus":
            parts[1] = -parts[1]
        f, g = (
            part if rows.index is None else gather(part.unsqueeze(-1), rows.index)[0].squeeze(-1)
            for part, rows in zip(parts, (u, v), strict=True)
        )
        return f.unsqueeze(1) + (g.view(-1, width) if width else g)

    def _product(self, u: Tensor, v: Tensor) -> Tensor | None:
        """Return the grid as a matrix product, None where it is none."""
        if self.predictor == "distance":
            if self.operation == "multiply":
                return -(u.square() @ v.square().T)
            if self.operation not in _SPLIT:
                return None
            cross = u @ v.T * (2.0 if self.operation == "minus" else -2.0)
            return cross - u.square().sum(-1, keepdim=True) - v.square().sum(-1)
        return (u if self.weight is None else u * self.weight) @ v.T

    def _parameters_of_tower(self) -> list[Tensor]:
        return [parameter for layer in self._linear() for parameter in layer.parameters()]

    @staticmethod
    def _tower(x: Tensor, *parameters: Tensor) -> Tensor:
        """Return the MLP's output `[...]` for `[..., width]`; parameters (weight, bias) a layer, last a weight."""
        for weight, bias in zip(parameters[:-1:2], parameters[1::2], strict=True):
            x = functional.linear(x, weight, bias).relu()
        return functional.linear(x, parameters[-1]).squeeze(-1)

    def _of_mlp(self, u: Rows, v: Rows, width: int) -> Tensor:
        """Return the MLP's scores, its first layer applied to each side's table where it splits."""
        parameters = self._parameters_of_tower()
        if self.operation not in _SPLIT:
            function = OPERATIONS[self.operation].function

            def whole(a: Tensor, b: Tensor, *of_tower: Tensor) -> Tensor:
                return self._tower(function(a, b), *of_tower)

            return pair_scores(ComposedJoin(whole), u, v, width, *parameters)
        weight, bias, *rest = parameters
        first, second = weight.chunk(2, dim=1) if self.operation == "concat" else (weight, weight)
        if self.operation == "minus":
            second = -second
        a = Rows(functional.linear(u.values, first), u.index)
        b = Rows(functional.linear(v.values, second, bias), v.index)
        if len(rest) == 1:
            return pair_scores(VectorJoin("hinge"), a, b, width, rest[0].squeeze(0))

        def after(a: Tensor, b: Tensor, *of_tower: Tensor) -> Tensor:
            return self._tower((a + b).relu(), *of_tower)

        return pair_scores(ComposedJoin(after), a, b, width, *rest)

"""One function of a network: an operation that joins two vectors, and a predictor that makes a score of them."""

import itertools

import torch
from torch import Tensor, nn

from sif.encodings.rows import Rows
from sif.operations import PREDICTORS, Operation, operation
from sif.operations.tables import FoldedSide, MlpFactor
from sif.spaces.wide_settings import WideSettings

__all__ = ["FunctionBranch", "WideBranch"]


class FunctionBranch(nn.Module):
    """score(u, v) = predictor(operation(u, v)), for vectors after encoding and element-wise network."""

    def __init__(self, name: str, joins: Operation, predictor: str) -> None:
        super().__init__()
        self.operation, self.predictor = name, predictor
        self.joins, self.reads = joins, PREDICTORS[predictor]

    def values(self) -> list[Tensor]:
        """Return the predictor's parameters, as its `score` takes them."""
        raise NotImplementedError

    def join(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the scores `[...]` of vectors `[..., dim]`, broadcast against each other."""
        return self.reads.read(self.joins, (u, v), self.values())

    def scores(self, u: Rows, v: Rows, width: int) -> Tensor:
        """Return the scores `[n, width]` of n users with `width` items each, or with width 0 `[n, m]` with m items."""
        return self.reads.scores(self.joins, u, v, width, self.values())

    def grid(self, u: Tensor, v: Tensor) -> Tensor:
        """Return the scores float `[n, m]` of vectors `[n, dim]` with vectors `[m, dim]`, never n x m x dim at once."""
        return self.scores(Rows(u), Rows(v), 0)

    def fold(self, mode: int, x: Tensor) -> FoldedSide:
        """Return what vectors `[n, dim]` bring to the score, as users (mode 0) or items (1)."""
        return self.reads.fold(self.joins, mode, x, [each.detach() for each in self.values()])

    def mlp_factor(self, dim: int) -> MlpFactor:
        """Return what is served where no tables replace the function of vectors of `dim` entries."""
        values = [each.detach().clone() for each in self.values()]
        return self.reads.mlp_factor(self.joins, self.operation, values, dim)


def _linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """Return a linear layer without drawing from torch's global generator; `reset` draws its weights."""
    layer = nn.Linear(inputs, outputs, bias=bias, device="meta").to_empty(device="cpu")
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class WideBranch(FunctionBranch):
    """A branch of a wide network.

    - `sum`: of the entries; `linear`: `weight` . x, `weight` float `[dim]` (`concat`: `[2 dim]`); `distance`: -||x||^2.
    - `cosine`: the sum for vectors of length 1, over a temperature, the exponential of `weight` float `[1]`.
    - `mlp`: `layers`, linear ones with a ReLU between, the last of one unit and without a bias.
    """

    def __init__(self, name: str, predictor: str, settings: WideSettings) -> None:
        super().__init__(name, operation(name), predictor)
        width = self.joins.width * settings.embedding_dim
        shapes = self.reads.shapes(width, settings.mlp) if predictor != "mlp" else []
        self.weight = nn.Parameter(torch.zeros(shapes[0])) if shapes else None
        sizes = (width, *settings.mlp) if predictor == "mlp" else ()
        layers = [_linear(*pair) for pair in itertools.pairwise(sizes)]
        self.layers = nn.ModuleList([*layers, _linear(sizes[-1], 1, bias=False)] if sizes else [])

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Start as the predictor says; draw an MLP, its weights uniform within 1 / sqrt(fan-in)."""
        if self.weight is not None:
            self.reads.start(self.joins, self.weight)
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            for parameter in layer.parameters():
                drawn = torch.rand(parameter.shape, generator=generator) * 2 - 1
                parameter.copy_(drawn * layer.in_features**-0.5)

    def values(self) -> list[Tensor]:
        """Return `[weight]`, or the weights and biases of the layers."""
        if self.weight is not None:
            return [self.weight]
        return [parameter for layer in self.layers for parameter in layer.parameters()]

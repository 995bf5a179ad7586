"""The networks of the fixed models: the functions that an engineer would guess, and published ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.network import Network
from nasp_core.types import Mixture
from sif.encodings.sides import SidedNetwork, SideSettings
from sif.tasks.queries import Queries

__all__ = [
    "Biases",
    "Conv",
    "Cp",
    "DeepWide",
    "Dense",
    "InnerProduct",
    "Mean",
    "Ncf",
    "Outer",
    "Popularity",
    "TensorBiases",
    "TensorDeepWide",
    "TensorMean",
    "TensorNcf",
    "Tucker",
]


class Mean(SidedNetwork):
    """The training mean for everyone (zero in standard units); its one weight is never moved from zero."""

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        """Return the score `[batch]` of embeddings `[modes, batch, dim]`, without biases."""
        return rows.sum((0, 2)) * 0.0


class Biases(SidedNetwork):
    """Global, user and item biases alone."""

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        """Return the score `[batch]` of embeddings `[modes, batch, dim]`, without biases."""
        return rows.new_zeros(rows.shape[1])


class InnerProduct(SidedNetwork):
    """The inner product of the embeddings (for three modes the sum of their product: CP)."""

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        """Return the score `[batch]` of embeddings `[modes, batch, dim]`, without biases."""
        return rows.prod(0).sum(-1) if rows.shape[0] > 2 else (rows[0] * rows[1]).sum(-1)


class Dense(SidedNetwork):
    """Base of baselines with dense layers beside the embeddings."""

    def __init__(self, sizes: tuple[int, ...], settings: SideSettings, counts: Tensor | None = None) -> None:
        super().__init__(sizes, settings, counts)
        self.layers = self.make_layers(len(sizes), settings.embedding_dim)

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        """Return the dense layers."""
        raise NotImplementedError

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw dense weights uniform within 1 / sqrt(fan-in), embeddings as everywhere."""
        super().reset(generator)
        for parameter in self.layers.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else parameter.numel()
            parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2 - 1) * fan_in**-0.5)


class DeepWide(Dense):
    """Concatenation, one hidden ReLU layer, linear output (Cheng et al. 2016, as the SIF paper uses it)."""

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        """Return the dense layers."""
        return nn.ModuleList([nn.Linear(modes * dim, dim), nn.Linear(dim, 1)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        """Return the score `[batch]` of embeddings `[modes, batch, dim]`, without biases."""
        hidden = self.layers[0](torch.cat(rows.unbind(0), -1)).relu()
        return self.layers[1](hidden).squeeze(-1)  # type: ignore[no-any-return]


class Ncf(Dense):
    """Product and a hidden layer over the concatenation, side by side, linear output (He et al. 2017, NeuMF)."""

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        """Return the dense layers."""
        return nn.ModuleList([nn.Linear(modes * dim, dim), nn.Linear(2 * dim, 1)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        """Return the score `[batch]` of embeddings `[modes, batch, dim]`, without biases."""
        hidden = self.layers[0](torch.cat(rows.unbind(0), -1)).relu()
        return self.layers[1](torch.cat([rows.prod(0), hidden], -1)).squeeze(-1)  # type: ignore[no-any-return]


class Outer(Dense):
    """A weight for every pair of entries: a linear layer on the outer product."""

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        """Return the dense layers."""
        return nn.ModuleList([nn.Linear(dim, dim, bias=False)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        """Return the score `[batch]` of embeddings `[modes, batch, dim]`, without biases."""
        return (self.layers[0](rows[0]) * rows[1]).sum(-1)  # type: ignore[no-any-return]


class Conv(Dense):
    """ConvNCF: 2x2 convolutions of stride 2 over the outer product down to one entry (He et al. 2018)."""

    channels = 8

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        """Return the dense layers."""
        depth = dim.bit_length() - 1
        convs = [nn.Conv2d(1 if i == 0 else self.channels, self.channels, 2, stride=2) for i in range(depth)]
        return nn.ModuleList([*convs, nn.Linear(self.channels if depth else 1, 1)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        """Return the score `[batch]` of embeddings `[modes, batch, dim]`, without biases."""
        image = (rows[0].unsqueeze(-1) * rows[1].unsqueeze(-2)).unsqueeze(1)
        for layer in list(self.layers)[:-1]:
            image = functional.relu(layer(image))
        return self.layers[-1](image.flatten(1)).squeeze(-1)  # type: ignore[no-any-return]


class Tucker(Dense):
    """TuckER: a weight for every triple of entries (Balazevic et al. 2019)."""

    modes = ("user", "item", "context")

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        """Return the dense layers."""
        return nn.ModuleList([nn.Linear(dim, dim * dim, bias=False)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        """Return the score `[batch]` of embeddings `[modes, batch, dim]`, without biases."""
        dim = rows.shape[-1]
        core = self.layers[0](rows[0]).view(-1, dim, dim)
        return torch.einsum("bij,bi,bj->b", core, rows[1], rows[2])


class Cp(InnerProduct):
    """CP, started as the product of user and item: a product of three small numbers would never move."""

    modes = ("user", "item", "context")

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw all as elsewhere; the contexts start at one."""
        super().reset(generator)
        self.embedding[-self.sizes[2] :] += 1.0


class TensorMean(Mean):
    """`Mean` with a context."""

    modes = ("user", "item", "context")


class TensorBiases(Biases):
    """`Biases` with a context."""

    modes = ("user", "item", "context")


class TensorDeepWide(DeepWide):
    """`DeepWide` with a context."""

    modes = ("user", "item", "context")


class TensorNcf(Ncf):
    """`Ncf` with a context."""

    modes = ("user", "item", "context")


class Popularity(Network):
    """How many training pairs an item has, for everyone; nothing is trained."""

    def __init__(self, counts: Tensor) -> None:
        """Take the counts of the items, int64 `[items]`."""
        super().__init__()
        self.score = nn.Parameter(counts.float(), requires_grad=False)

    def forward(self, inputs: Queries, mixture: Mixture | None = None) -> Tensor:
        """Return the counts of the items asked about, float32 `[n, k + m]`."""
        shared = self.score[inputs.shared].expand(len(inputs.users), -1)
        return torch.cat([self.score[inputs.own], shared], 1)

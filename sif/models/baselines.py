"""The functions that an engineer would guess, and the published ones: trained on the same split by the same loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.network import Network
from nasp_core.spaces.interaction import InteractionNetwork, InteractionSettings
from nasp_core.spaces.sides import SidedNetwork, SideSettings
from nasp_core.spaces.tensor_interaction import TensorInteractionNetwork
from nasp_core.types import Mixture

__all__ = ["BASELINES", "TENSOR_BASELINES", "Baseline"]


class _Mean(SidedNetwork):
    """The training mean for everyone (zero in standard units); its one weight is never moved from zero."""

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        return rows.sum((0, 2)) * 0.0


class _Biases(SidedNetwork):
    """Global, user and item biases alone."""

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        return rows.new_zeros(rows.shape[1])


class _InnerProduct(SidedNetwork):
    """The inner product of the embeddings (for three modes the sum of their product: CP)."""

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        return rows.prod(0).sum(-1) if rows.shape[0] > 2 else (rows[0] * rows[1]).sum(-1)


class _Dense(SidedNetwork):
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


class _DeepWide(_Dense):
    """Concatenation, one hidden ReLU layer, linear output (Cheng et al. 2016, as the SIF paper uses it)."""

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        return nn.ModuleList([nn.Linear(modes * dim, dim), nn.Linear(dim, 1)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        hidden = self.layers[0](torch.cat(rows.unbind(0), -1)).relu()
        return self.layers[1](hidden).squeeze(-1)  # type: ignore[no-any-return]


class _Ncf(_Dense):
    """Product and a hidden layer over the concatenation, side by side, linear output (He et al. 2017, NeuMF)."""

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        return nn.ModuleList([nn.Linear(modes * dim, dim), nn.Linear(2 * dim, 1)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        hidden = self.layers[0](torch.cat(rows.unbind(0), -1)).relu()
        return self.layers[1](torch.cat([rows.prod(0), hidden], -1)).squeeze(-1)  # type: ignore[no-any-return]


class _Outer(_Dense):
    """A weight for every pair of entries: a linear layer on the outer product."""

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        return nn.ModuleList([nn.Linear(dim, dim, bias=False)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        return (self.layers[0](rows[0]) * rows[1]).sum(-1)  # type: ignore[no-any-return]


class _Conv(_Dense):
    """ConvNCF: 2x2 convolutions of stride 2 over the outer product down to one entry (He et al. 2018)."""

    channels = 8

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        depth = dim.bit_length() - 1
        convs = [nn.Conv2d(1 if i == 0 else self.channels, self.channels, 2, stride=2) for i in range(depth)]
        return nn.ModuleList([*convs, nn.Linear(self.channels if depth else 1, 1)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        image = (rows[0].unsqueeze(-1) * rows[1].unsqueeze(-2)).unsqueeze(1)
        for layer in list(self.layers)[:-1]:
            image = functional.relu(layer(image))
        return self.layers[-1](image.flatten(1)).squeeze(-1)  # type: ignore[no-any-return]


class _Tucker(_Dense):
    """TuckER: a weight for every triple of entries (Balazevic et al. 2019)."""

    modes = ("user", "item", "context")

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        return nn.ModuleList([nn.Linear(dim, dim * dim, bias=False)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        dim = rows.shape[-1]
        core = self.layers[0](rows[0]).view(-1, dim, dim)
        return torch.einsum("bij,bi,bj->b", core, rows[1], rows[2])


class _Cp(_InnerProduct):
    """CP, started as the product of user and item: a product of three small numbers would never move."""

    modes = ("user", "item", "context")

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        super().reset(generator)
        self.embedding[-self.sizes[2] :] += 1.0


class _TensorMean(_Mean):
    modes = ("user", "item", "context")


class _TensorBiases(_Biases):
    modes = ("user", "item", "context")


class _TensorDeepWide(_DeepWide):
    modes = ("user", "item", "context")


class _TensorNcf(_Ncf):
    modes = ("user", "item", "context")


Maker = Callable[[tuple[int, ...], InteractionSettings, Tensor | None], Network]


class Baseline:
    """One fixed model: how to make it, and whether it can be made for an embedding size."""

    def __init__(
        self,
        make: Maker,
        *,
        trained: bool = True,
        embeds: bool = True,
        tuned: bool = False,
        biases: bool | None = None,
    ) -> None:
        """Describe a baseline; `biases` overrides the settings' where the model is defined with or without them."""
        self._make, self._biases = make, biases
        self.trained, self.embeds, self.tuned = trained, embeds, tuned

    def build(self, sizes: tuple[int, ...], settings: InteractionSettings, counts: Tensor | None) -> Network:
        """Return the model under the given settings (embedding size, penalties, start)."""
        if self._biases is not None:
            settings = replace(settings, biases=self._biases, bias_l2=settings.bias_l2 if self._biases else 0.0)
        if not self.embeds:
            settings = replace(settings, embedding_dim=0)
        return self._make(sizes, settings, counts)

    def fits(self, settings: InteractionSettings) -> bool:
        """Return whether the model exists at this embedding size (ConvNCF wants a power of two)."""
        dim = settings.embedding_dim
        return self._make is not _Conv or dim & (dim - 1) == 0


def _operation(name: str, network: type[InteractionNetwork]) -> Maker:
    def make(sizes: tuple[int, ...], settings: InteractionSettings, counts: Tensor | None) -> Network:
        return network(sizes, replace(settings, operations=(name,), hidden=0), counts)

    return make


BASELINES: Mapping[str, Baseline] = {
    "global-mean": Baseline(_Mean, trained=False, embeds=False, biases=False),
    "biases": Baseline(_Biases, embeds=False, biases=True),
    "inner-product": Baseline(_InnerProduct, biases=False),
    "biased-mf": Baseline(_InnerProduct, tuned=True, biases=True),
    "plus": Baseline(_operation("plus", InteractionNetwork)),
    "max": Baseline(_operation("max", InteractionNetwork)),
    "min": Baseline(_operation("min", InteractionNetwork)),
    "deep-wide": Baseline(_DeepWide),
    "ncf": Baseline(_Ncf),
    "outer": Baseline(_Outer),
    "conv-ncf": Baseline(_Conv),
}
"""Baselines of two modes, by the name under which they stand in tables and in `result.json`."""

TENSOR_BASELINES: Mapping[str, Baseline] = {
    "global-mean": Baseline(_TensorMean, trained=False, embeds=False, biases=False),
    "biases": Baseline(_TensorBiases, embeds=False, biases=True),
    "cp": Baseline(_Cp, biases=False),
    "biased-cp": Baseline(_Cp, tuned=True, biases=True),
    "tucker": Baseline(_Tucker),
    "plus": Baseline(_operation("plus_plus", TensorInteractionNetwork)),
    "deep-wide": Baseline(_TensorDeepWide),
    "ncf": Baseline(_TensorNcf),
}
"""Baselines of three modes."""

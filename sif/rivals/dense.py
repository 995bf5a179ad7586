"""Dense layers beside the embeddings: the functions that an engineer would guess, and published ones."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.types import Mixture
from sif.encodings.sides import SidedNetwork, SideSettings
from sif.operations.hinge import HINGE
from sif.operations.tables import FoldedSide, MlpFactor
from sif.rivals.base import Rival, fixed, with_context
from sif.rivals.folded import FoldedRival

__all__ = ["CONV_NCF", "DEEP_WIDE", "NCF", "OUTER", "TUCKER"]


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


class Hidden(Dense, FoldedRival):
    """Base of those whose first layer is a hidden one over the concatenation: it is applied to each side."""

    def side(self, mode: int, rows: Tensor) -> FoldedSide:
        """Return each side's share of the hidden layer before its ReLU."""
        dim, first = rows.shape[1], self.linear(0)
        share = rows @ first.weight[:, mode * dim : (mode + 1) * dim].T
        return FoldedSide.of(rows.new_zeros(len(rows)), mlps=(share if mode else share + first.bias,))

    def linear(self, number: int) -> nn.Linear:
        """Return a layer."""
        layer = self.layers[number]
        assert isinstance(layer, nn.Linear)
        return layer

    def factors(self) -> tuple[MlpFactor, ...]:
        """Return the output layer over the hidden one."""
        last = self.linear(1)
        return (MlpFactor(HINGE.name, ((last.weight[:, -self.settings.embedding_dim :], last.bias),)),)


class DeepWide(Hidden):
    """Concatenation, one hidden ReLU layer, linear output (Cheng et al. 2016, as the SIF paper uses it)."""

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        return nn.ModuleList([nn.Linear(modes * dim, dim), nn.Linear(dim, 1)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        hidden = self.layers[0](torch.cat(rows.unbind(0), -1)).relu()
        return self.layers[1](hidden).squeeze(-1)  # type: ignore[no-any-return]


class Ncf(Hidden):
    """Product and a hidden layer over the concatenation, side by side, linear output (He et al. 2017, NeuMF)."""

    def side(self, mode: int, rows: Tensor) -> FoldedSide:
        """Return the share of the hidden layer, and the product's, the output's weights on the users."""
        weight = self.linear(1).weight[0, : rows.shape[1]]
        product = FoldedSide.of(rows.new_zeros(len(rows)), product=rows if mode else rows * weight)
        return FoldedSide.joined([super().side(mode, rows), product])

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        return nn.ModuleList([nn.Linear(modes * dim, dim), nn.Linear(2 * dim, 1)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        hidden = self.layers[0](torch.cat(rows.unbind(0), -1)).relu()
        return self.layers[1](torch.cat([rows.prod(0), hidden], -1)).squeeze(-1)  # type: ignore[no-any-return]


class Outer(Dense, FoldedRival):
    """A weight for every pair of entries: a linear layer on the outer product."""

    def side(self, mode: int, rows: Tensor) -> FoldedSide:
        """Return the embeddings, those of the users through the layer."""
        return FoldedSide.of(rows.new_zeros(len(rows)), product=rows if mode else self.layers[0](rows))

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        return nn.ModuleList([nn.Linear(dim, dim, bias=False)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        return (self.layers[0](rows[0]) * rows[1]).sum(-1)  # type: ignore[no-any-return]


class Conv(Dense):
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


class Tucker(Dense):
    """TuckER: a weight for every triple of entries (Balazevic et al. 2019)."""

    def make_layers(self, modes: int, dim: int) -> nn.ModuleList:
        return nn.ModuleList([nn.Linear(dim, dim * dim, bias=False)])

    def join(self, rows: Tensor, mixture: Mixture | None) -> Tensor:
        dim = rows.shape[-1]
        core = self.layers[0](rows[0]).view(-1, dim, dim)
        return torch.einsum("bij,bi,bj->b", core, rows[1], rows[2])


DEEP_WIDE = Rival(
    "deep-wide",
    "Cheng et al. 2016, as Yao et al. 2020 use it",
    {"pairs": fixed(DeepWide), "triples": fixed(with_context(DeepWide))},
)
NCF = Rival("ncf", "He et al. 2017, one embedding a side", {"pairs": fixed(Ncf), "triples": fixed(with_context(Ncf))})
OUTER = Rival("outer", "a weight for every pair of entries", {"pairs": fixed(Outer)})
CONV_NCF = Rival("conv-ncf", "He et al. 2018", {"pairs": fixed(Conv, power_of_two=True)})
TUCKER = Rival("tucker", "Balazevic et al. 2019", {"triples": fixed(with_context(Tucker))})

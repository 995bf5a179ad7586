"""The candidate operations of cells of convolutions, by the names that the field gave them.

Batches are float `[batch, channels, height, width]`; an operation at stride 2 halves height and width, rounded up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "CONV_OPERATIONS",
    "DARTS_OPERATIONS",
    "NASP_NORMAL_OPERATIONS",
    "NASP_REDUCE_OPERATIONS",
    "NONE",
    "Conv",
    "EdgePlace",
    "EdgeSource",
    "FactorizedReduce",
    "Linear",
    "Rectified",
    "Skip",
]

NONE = "none"
"""The candidate that adds nothing to a node; it has no module, costs nothing, and its gradient is zero."""

DARTS_OPERATIONS = (
    NONE,
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The candidates of DARTS (Liu et al. 2019), for both kinds of cell."""

NASP_NORMAL_OPERATIONS = (
    "skip_connect",
    "conv_3x1_1x3",
    "dil_conv_3x3",
    "conv_1x1",
    "conv_3x3",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
)
"""The candidates of NASP's published code for normal cells (Yao et al. 2020)."""

NASP_REDUCE_OPERATIONS = ("skip_connect", "avg_pool_3x3", "max_pool_3x3", "max_pool_5x5", "max_pool_7x7")
"""The candidates of NASP's published code for reduction cells; together there are 12."""


class Conv(nn.Conv2d):
    """A convolution whose weights are zero until the network that holds it is `reset`; making it draws no number."""

    def reset_parameters(self) -> None:
        """Set weights and bias to zero."""
        for parameter in self.parameters():
            nn.init.zeros_(parameter)


class Linear(nn.Linear):
    """A linear layer whose weights are zero until the network that holds it is `reset`; see `Conv`."""

    def reset_parameters(self) -> None:
        """Set weights and bias to zero."""
        for parameter in self.parameters():
            nn.init.zeros_(parameter)


class EdgeSource:
    """What an edge starts from, a float tensor `value`, and what several edges make of it alike, made once.

    What was made with a graph serves without one too; what was made without a graph is not taken for one with.
    """

    __slots__ = ("_made", "value")

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self._made: dict[tuple[str, bool], Tensor] = {}

    def shared(self, key: str, make: Callable[[Tensor], Tensor]) -> Tensor:
        """Return `make(value)`, made anew only if no edge has asked for `key` yet."""
        graph = torch.is_grad_enabled()
        for known in (True, False)[: 1 if graph else 2]:
            if (key, known) in self._made:
                return self._made[key, known]
        self._made[key, graph] = made = make(self.value)
        return made

    @property
    def rectified(self) -> Tensor:
        """max(value, 0)."""
        return self.shared("relu", functional.relu)


@dataclass(frozen=True)
class EdgePlace:
    """Where an operation stands: `channels` in and out, and whether batch norm has scale and shift.

    Without them (in a supernet, as in DARTS) a pool is followed by a batch norm too.
    """

    channels: int
    stride: int = 1
    affine: bool = True


class Skip(nn.Module):
    """Pass the source on as it is."""

    def forward(self, source: EdgeSource) -> Tensor:
        """Return the source's value."""
        return source.value


class _Pool(nn.Module):
    """The largest or the mean entry of each window (the mean leaves the border's padding out)."""

    def __init__(self, kind: str, kernel: int, place: EdgePlace) -> None:
        super().__init__()
        self.kind, self.kernel, self.stride = kind, kernel, place.stride
        self.key = f"{kind}{kernel}/{place.stride}"
        self.norm = nn.Identity() if place.affine else nn.BatchNorm2d(place.channels, affine=False)

    def _pooled(self, x: Tensor) -> Tensor:
        kernel, stride, padding = self.kernel, self.stride, self.kernel // 2
        if self.kind == "max":
            return functional.max_pool2d(x, kernel, stride, padding)
        return functional.avg_pool2d(x, kernel, stride, padding, count_include_pad=False)

    def forward(self, source: EdgeSource) -> Tensor:
        """Return the pooled source; the pool itself is shared by all edges of a source."""
        out: Tensor = self.norm(source.shared(self.key, self._pooled))
        return out


class Rectified(nn.Sequential):
    """Layers on max(x, 0)."""

    def forward(self, source: EdgeSource) -> Tensor:
        """Return what the layers make of the rectified source."""
        out = source.rectified
        for layer in self:
            out = layer(out)
        return out


class FactorizedReduce(nn.Module):
    """Halve height and width, losing no pixel row: ReLU, two 1x1 convolutions at stride 2 one pixel apart, batch norm.

    Each gives half of the `channels` that leave. At an odd size the second one sees a border of zeros (in DARTS the
    two do not fit there).
    """

    def __init__(self, entering: int, channels: int, *, affine: bool = True) -> None:
        super().__init__()
        self.even = Conv(entering, channels // 2, 1, stride=2, bias=False)
        self.odd = Conv(entering, channels - channels // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(channels, affine=affine)

    def forward(self, source: EdgeSource) -> Tensor:
        """Return `[batch, channels, ceil(height / 2), ceil(width / 2)]`."""
        x = source.rectified
        padding = (0, x.shape[3] % 2, 0, x.shape[2] % 2)
        shifted = (functional.pad(x, padding) if any(padding) else x)[:, :, 1:, 1:]
        out: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], 1))
        return out


def _conv(
    place: EdgePlace, kernel: tuple[int, int], stride: tuple[int, int], dilation: int = 1, groups: int = 1
) -> Conv:
    padding = (kernel[0] // 2 * dilation, kernel[1] // 2 * dilation)
    channels = place.channels
    return Conv(channels, channels, kernel, stride, padding, dilation, groups, bias=False)


def _norm(place: EdgePlace) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(place.channels, affine=place.affine)


def _skip(place: EdgePlace) -> nn.Module:
    return Skip() if place.stride == 1 else FactorizedReduce(place.channels, place.channels, affine=place.affine)


def _pool(kind: str, kernel: int) -> Callable[[EdgePlace], nn.Module]:
    return lambda place: _Pool(kind, kernel, place)


def _plain(kernel: int) -> Callable[[EdgePlace], nn.Module]:
    """One convolution and batch norm."""
    return lambda p: Rectified(_conv(p, (kernel, kernel), (p.stride, p.stride)), _norm(p))


def _crossed(kernel: int) -> Callable[[EdgePlace], nn.Module]:
    """A row, then a column, then batch norm."""
    return lambda p: Rectified(_conv(p, (1, kernel), (1, p.stride)), _conv(p, (kernel, 1), (p.stride, 1)), _norm(p))


def _depthwise(p: EdgePlace, kernel: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    """One kernel a channel, then 1x1 across channels, then batch norm."""
    each = _conv(p, (kernel, kernel), (stride, stride), dilation, groups=p.channels)
    return [each, _conv(p, (1, 1), (1, 1)), _norm(p)]


def _dilated(kernel: int) -> Callable[[EdgePlace], nn.Module]:
    return lambda p: Rectified(*_depthwise(p, kernel, p.stride, dilation=2))


def _separable(kernel: int) -> Callable[[EdgePlace], nn.Module]:
    """Depth-wise twice, the stride in the first."""
    return lambda p: Rectified(*_depthwise(p, kernel, p.stride), nn.ReLU(), *_depthwise(p, kernel, 1))


CONV_OPERATIONS: Mapping[str, Callable[[EdgePlace], nn.Module]] = {
    "skip_connect": _skip,
    "max_pool_3x3": _pool("max", 3),
    "max_pool_5x5": _pool("max", 5),
    "max_pool_7x7": _pool("max", 7),
    "avg_pool_3x3": _pool("avg", 3),
    "conv_1x1": _plain(1),
    "conv_3x3": _plain(3),
    "conv_3x1_1x3": _crossed(3),
    "conv_7x1_1x7": _crossed(7),
    "dil_conv_3x3": _dilated(3),
    "dil_conv_5x5": _dilated(5),
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "sep_conv_7x7": _separable(7),
}
"""From the name of an operation to what builds it at a place; each maps a `EdgeSource` to a tensor."""

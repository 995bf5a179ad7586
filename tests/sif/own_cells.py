"""Operations and activations of cells of one's own, most of them wrong."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sif.cells.convolution.operations import EdgePlace


def blurred(place: EdgePlace) -> nn.Module:
    """Right: a depth-wise convolution that starts as a mean, and noise in training alone."""
    made = nn.Conv2d(place.channels, place.channels, 3, place.stride, 1, groups=place.channels, bias=False)
    nn.init.constant_(made.weight, 1 / 9)
    return nn.Sequential(made, nn.Dropout(0.1), Slope(place.channels))


class Slope(nn.Module):
    """A bare parameter, drawn where it is made."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.rand(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.slope


class Kernel:
    """Right: fields beside the module's name."""

    def __init__(self, size: int = 3) -> None:
        self.size = size

    def __call__(self, place: EdgePlace) -> nn.Module:
        return nn.AvgPool2d(self.size, place.stride, self.size // 2)


FIVE = Kernel(5)
LAYER = nn.Conv2d(16, 16, 3, padding=1)


class Unsaved(nn.Module):
    def __init__(self, place: EdgePlace) -> None:
        super().__init__()
        self.stride, self.noise = place.stride, torch.rand(())

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride] * self.noise


def shared(place: EdgePlace) -> nn.Module:
    return LAYER


def one_stride(place: EdgePlace) -> nn.Module:
    return nn.Conv2d(place.channels, place.channels, 3, padding=1)


def in_place(place: EdgePlace) -> nn.Module:
    return nn.Sequential(nn.ReLU(inplace=True), nn.AvgPool2d(3, place.stride, 1))


def lazy(place: EdgePlace) -> nn.Module:
    return nn.LazyConv2d(place.channels, 3, place.stride, 1)


def no_module(place: EdgePlace) -> object:
    return functional.relu


def fails(place: EdgePlace) -> nn.Module:
    return nn.Conv2d(place.channels, place.channels, 3, groups=7)


def swish(x: Tensor) -> Tensor:
    return x * x.sigmoid()


def halved(x: Tensor) -> Tensor:
    return x[..., ::2]


def centred(x: Tensor) -> Tensor:
    return x - x.mean()


def doubled(x: Tensor) -> Tensor:
    return x.mul_(2)

"""Weigh: channels by what they are on average."""

from torch import Tensor, nn

from sif.cells.convolution.operations import EdgePlace


class Weigh(nn.Module):
    """The mean of 3x3 windows, each channel weighted by the means of all (Hu et al. 2018, without the bottleneck)."""

    def __init__(self, place: EdgePlace) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, place.stride, padding=1)
        self.weigh = nn.Conv2d(place.channels, place.channels, 1)
        self.norm = nn.BatchNorm2d(place.channels, affine=place.affine)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures `[batch, channels, height, width]`; a stride of 2 halves height and width, rounded up."""
        weights = self.weigh(x.mean((2, 3), keepdim=True)).sigmoid()
        return self.norm(self.pool(x) * weights)

"""What networks of cells for pictures share: the order of cells, the first layers, how weights are drawn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nasp_core.errors import SpaceError
from nasp_core.network import Network
from sif.cells.convolution.operations import Conv, EdgeSource, FactorizedReduce, Rectified
from sif.cells.convolution.own import OwnOperation
from sif.encodings.lookup import unfound

__all__ = ["CellShape", "PictureNetwork", "cell_shapes", "check_least", "pooled", "preprocess", "stem", "unknown_names"]


class CellShape(NamedTuple):
    """One cell of a stack: the channels of the two cells before it, its own, and which cells halve the picture."""

    before: int
    previous: int
    channels: int
    reduction: bool
    after_reduction: bool


def cell_shapes(layers: int, channels: int, stem: int, outputs: Mapping[bool, int]) -> Iterator[CellShape]:
    """Yield the cells of a stack of `layers` (DARTS): reductions at 1/3 and 2/3 double the channels.

    `stem` is the number of channels of the stem; `outputs[reduction]` how many nodes a cell's output concatenates.
    """
    before = previous = stem
    after_reduction = False
    for layer in range(layers):
        reduction = layer in (layers // 3, 2 * layers // 3)
        channels *= 2 if reduction else 1
        yield CellShape(before, previous, channels, reduction, after_reduction)
        before, previous, after_reduction = previous, outputs[reduction] * channels, reduction


def preprocess(shape: CellShape, *, affine: bool) -> tuple[nn.Module, nn.Module]:
    """Return what brings the two cells before a cell to its channels and to one size."""
    first: nn.Module
    if shape.after_reduction:
        first = FactorizedReduce(shape.before, shape.channels, affine=affine)
    else:
        first = _pointwise(shape.before, shape.channels, affine)
    return first, _pointwise(shape.previous, shape.channels, affine)


def _pointwise(entering: int, channels: int, affine: bool) -> nn.Module:
    return Rectified(Conv(entering, channels, 1, bias=False), nn.BatchNorm2d(channels, affine=affine))


def unknown_names(
    what: str, names: Sequence[str], known: Sequence[str], find: Callable[[str], Any] | None = None
) -> list[str]:
    """Return what is wrong with a list of operation names: none at all, unknown ones, or one given twice.

    `find` finds those that are not among the `known` ones, or raises `SpaceError`.
    """
    problems = []
    unknown = [name for name in names if name not in known]
    if not names:
        problems.append(f"{what}: no operation to choose from; there are {', '.join(known)}")
    if find is not None:
        problems += [f"{what}: {why}" for why in unfound(unknown, find)]
    elif unknown:
        problems.append(f"{what}: unknown operation(s) {', '.join(unknown)}; there are {', '.join(known)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.append(f"{what}: operation(s) {', '.join(twice)} given twice; name each once")
    return problems


def check_least(settings: object, **least: int) -> list[str]:
    """Return what is wrong with whole numbers that have a least value."""
    values = {name: getattr(settings, name) for name in least}
    return [f"{name} = {values[name]}; it must be {low} or more" for name, low in least.items() if values[name] < low]


class PictureNetwork(Network):
    """A network that maps pictures float `[batch, channels, height, width]` to logits `[batch, classes]`."""

    channels_last: bool

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw every convolution and linear layer uniform within 1 / sqrt(fan-in), as torch does; begin norms anew.

        An operation of one's own begins with what it is made with, drawn by the same generator.
        """
        own = {
            inner for module in self.modules() if isinstance(module, OwnOperation) for inner in module.module.modules()
        }
        for module in self.modules():
            if isinstance(module, OwnOperation):
                module.reset(generator)
            elif module in own:
                continue
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
            elif isinstance(module, nn.Conv2d | nn.Linear):
                bound = module.weight[0].numel() ** -0.5
                for parameter in (module.weight, module.bias):
                    if parameter is not None:
                        parameter.copy_((torch.rand(parameter.shape, generator=generator) * 2 - 1) * bound)

    def picture(self, inputs: Tensor) -> Tensor:
        """Return the pictures in the memory layout that the settings ask for.

        Args:
            inputs: float32 `[batch, in_channels, height, width]`.

        Raises:
            SpaceError: They are no such pictures.
        """
        if inputs.dim() != 4:
            shape = list(inputs.shape)
            raise SpaceError(f"pictures must be [batch, channels, height, width], but the inputs are {shape}")
        return inputs.contiguous(memory_format=torch.channels_last) if self.channels_last else inputs


def stem(in_channels: int, channels: int) -> nn.Sequential:
    """Return the first layers: a 3x3 convolution and a batch norm with scale and shift."""
    return nn.Sequential(Conv(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))


def pooled(source: EdgeSource) -> Tensor:
    """Return the mean over height and width, `[batch, channels]`."""
    return source.value.mean((2, 3))

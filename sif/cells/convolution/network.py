"""Plain networks of cells: what is trained once a cell is known, whether found here or published."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.genotype import Genotype
from nasp_core.network import Loss, StepLoss
from nasp_core.types import Batch, Mixture
from sif.cells.convolution.operations import NONE, Conv, EdgePlace, EdgeSource, Linear, Skip
from sif.cells.convolution.own import cell_operation
from sif.cells.convolution.skeleton import CellShape, PictureNetwork, cell_shapes, check_least, pooled, preprocess, stem
from sif.encodings.lookup import unfound

__all__ = ["CellNetwork", "CellSettings", "Cells", "cells_of"]

Entries = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Cells:
    """A normal and a reduction cell: two entries (operation, source) a node, and which nodes leave the cell.

    Sources 0 and 1 are the two cells before, node i is source i + 2; one source may enter a node twice. `*_concat`
    lists the sources whose concatenation leaves the cell.
    """

    normal: Entries
    normal_concat: tuple[int, ...]
    reduce: Entries
    reduce_concat: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the settings; raises `SpaceError` with all that cannot be built."""
        problems = []
        for kind in ("normal", "reduce"):
            entries, concat = getattr(self, kind), getattr(self, f"{kind}_concat")
            if not entries or len(entries) % 2:
                problems.append(f"{kind}: {len(entries)} entries; each node needs two")
            problems += [f"{kind}: {why}" for why in unfound((name for name, _ in entries), cell_operation)]
            for place, (_, source) in enumerate(entries):
                if not 0 <= source < place // 2 + 2:
                    problems.append(f"{kind}: node {place // 2 + 2} cannot start from {source}, which is not before it")
            if not concat or not all(0 <= source < len(entries) // 2 + 2 for source in concat):
                problems.append(f"{kind}_concat = {list(concat)}; it must name sources of the cell, one or more")
        if problems:
            raise SpaceError("these cells cannot be built:\n  " + "\n  ".join(problems))


def cells_of(genotype: Genotype) -> Cells:
    """Return the cells of a genotype of `conv-cell`; raises `GenotypeError` unless each node keeps two edges."""
    entries: dict[str, Entries] = {}
    nodes = 0
    for kind in ("normal", "reduce"):
        names = genotype.choices.get(kind, ())
        kept: list[tuple[str, int]] = []
        start = nodes = 0
        while start < len(names):
            edges = names[start : start + nodes + 2]
            chosen = [(name, source) for source, name in enumerate(edges) if name is not None and name != NONE]
            if len(chosen) != 2 or len(edges) != nodes + 2:
                raise GenotypeError(
                    f"genotype choice {kind}: node {nodes + 2} keeps {len(chosen)} of its edges {list(edges)}; "
                    "each node keeps two, and `none` cannot be kept"
                )
            kept += chosen
            start, nodes = start + nodes + 2, nodes + 1
        if not kept:
            raise GenotypeError(f"genotype of space {genotype.space!r} has no {kind} cell; conv-cell has one")
        entries[kind] = tuple(kept)
    concats = {kind: tuple(range(2, len(entries[kind]) // 2 + 2)) for kind in entries}
    return Cells(entries["normal"], concats["normal"], entries["reduce"], concats["reduce"])


@dataclass(frozen=True, kw_only=True)
class CellSettings:
    """The scale of a plain network of cells; the defaults are those of DARTS' final training on CIFAR-10.

    - `stem_multiplier`: channels of the first convolution, in units of `channels`.
    - `affine`: whether batch norm learns scale and shift; without, as in the supernet, it follows pools too.
    - `auxiliary`: weight of the loss of a second classifier at 2/3 of the depth, in training only; 0 for none.
    - `drop_path`: probability at the end of the training that an edge is dropped for a picture (not identities); it
      grows linearly from 0.
    - `channels_last`: memory layout; it makes steps 1.4 times as fast on a CPU (not measured on a GPU).
    """

    channels: int = 36
    layers: int = 20
    stem_multiplier: int = 3
    classes: int = 10
    in_channels: int = 3
    affine: bool = True
    auxiliary: float = 0.4
    drop_path: float = 0.2
    channels_last: bool = True

    def __post_init__(self) -> None:
        """Check the settings; raises `SpaceError` with all that cannot be built."""
        problems = check_least(self, channels=2, layers=1, stem_multiplier=1, classes=2, in_channels=1)
        if self.channels % 2:
            problems.append(f"channels = {self.channels}; a reduction halves them, so the number must be even")
        if self.auxiliary < 0:
            problems.append(f"auxiliary = {self.auxiliary}; it must be 0 (no second classifier) or more")
        if not 0 <= self.drop_path < 1:
            problems.append(f"drop_path = {self.drop_path}; it must be 0 or more and below 1")
        if problems:
            raise SpaceError("; ".join(problems))


def drop_path(out: Tensor, keep: Tensor) -> Tensor:
    """Return `out` `[batch, ...]`, each picture's entry zeroed with probability 1 - `keep` (0-dim), else / `keep`."""
    drawn = torch.rand((out.shape[0], 1, 1, 1), device=out.device) < keep
    return out * (drawn / keep).to(out.dtype)


class _Cell(nn.Module):
    def __init__(self, shape: CellShape, entries: Entries, concat: tuple[int, ...], *, affine: bool) -> None:
        super().__init__()
        self.first, self.second = preprocess(shape, affine=affine)
        self.sources, self.concat = tuple(source for _, source in entries), concat
        self.operations = nn.ModuleList(
            cell_operation(name)(EdgePlace(shape.channels, 2 if shape.reduction and source < 2 else 1, affine))
            for name, source in entries
        )

    def forward(self, before: EdgeSource, previous: EdgeSource, keep: Tensor | None) -> EdgeSource:
        states = [EdgeSource(self.first(before)), EdgeSource(self.second(previous))]
        entering: list[Tensor] = []
        for operation, source in zip(self.operations, self.sources, strict=True):
            out = operation(states[source])
            entering.append(out if keep is None or isinstance(operation, Skip) else drop_path(out, keep))
            if len(entering) == 2:
                states.append(EdgeSource(entering[0] + entering[1]))
                entering = []
        return EdgeSource(torch.cat([states[source].value for source in self.concat], 1))


class _Auxiliary(nn.Module):
    """The second classifier: ReLU, pool to 2x2, 1x1 and 2x2 convolutions to 128 and 768 channels, linear.

    On features 8x8 (CIFAR) the pool is DARTS': windows of 5 at stride 3; on others it is adaptive.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Conv(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            Conv(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(),
        )
        self.classifier = Linear(768, classes)

    def forward(self, source: EdgeSource) -> Tensor:
        x = source.rectified
        darts = x.shape[2:] == (8, 8)
        x = functional.avg_pool2d(x, 5, 3) if darts else functional.adaptive_avg_pool2d(x, 2)
        out: Tensor = self.classifier(self.layers(x).flatten(1))
        return out


class CellNetwork(PictureNetwork):
    """A stack of one normal and one reduction cell, with DARTS' means of a long training.

    Shapes: pictures float `[batch, in_channels, height, width]` of any size to logits `[batch, classes]`.
    """

    keep: Tensor

    def __init__(self, cells: Cells, settings: CellSettings | None = None) -> None:
        super().__init__()
        self.settings = settings = settings or CellSettings()
        self.channels_last = settings.channels_last
        first = settings.stem_multiplier * settings.channels
        kinds: Mapping[bool, tuple[Entries, tuple[int, ...]]] = {
            False: (cells.normal, cells.normal_concat),
            True: (cells.reduce, cells.reduce_concat),
        }
        outputs = {reduction: len(concat) for reduction, (_, concat) in kinds.items()}
        shapes = list(cell_shapes(settings.layers, settings.channels, first, outputs))
        leaving = [outputs[shape.reduction] * shape.channels for shape in shapes]
        self.stem = stem(settings.in_channels, first)
        self.cells = nn.ModuleList(_Cell(shape, *kinds[shape.reduction], affine=settings.affine) for shape in shapes)
        self.classifier = Linear(leaving[-1], settings.classes)
        self.auxiliary_at = 2 * settings.layers // 3
        self.auxiliary = _Auxiliary(leaving[self.auxiliary_at], settings.classes) if settings.auxiliary else None
        self.auxiliary_logits: Tensor | None = None
        self.register_buffer("keep", torch.ones(()), persistent=False)

    def set_progress(self, progress: float) -> None:
        """Set the probability that an edge is kept to 1 - `drop_path` * progress."""
        self.keep.fill_(1.0 - self.settings.drop_path * progress)

    def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Return logits `[batch, classes]`; in training leaves those of the second classifier in `auxiliary_logits`."""
        keep = self.keep if self.training and self.settings.drop_path else None
        before = previous = EdgeSource(self.stem(self.picture(inputs)))
        self.auxiliary_logits = None
        for index, cell in enumerate(self.cells):
            before, previous = previous, cell(before, previous, keep)
            # a lone picture has one value a channel there, of which batch norm has no spread
            if self.training and self.auxiliary is not None and index == self.auxiliary_at and len(inputs) > 1:
                self.auxiliary_logits = self.auxiliary(previous)
        logits: Tensor = self.classifier(pooled(previous))
        return logits

    def training_loss(
        self, batch: Batch, mixture: Mixture | None, loss: Loss, hidden: Tensor | None = None
    ) -> StepLoss:
        """Return the loss of the logits, and as penalty the weighted loss of the second classifier."""
        own = loss(self(batch.inputs, mixture), batch.target)
        second, self.auxiliary_logits = self.auxiliary_logits, None
        return StepLoss(own, None if second is None else self.settings.auxiliary * loss(second, batch.target))

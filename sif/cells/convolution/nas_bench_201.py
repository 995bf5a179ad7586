"""The space of NAS-Bench-201: one small cell, whose 15,625 networks were all trained by the benchmark's authors."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasp_core.choice import Branch
from nasp_core.errors import GenotypeError, SpaceError
from nasp_core.genotype import Genotype
from nasp_core.network import Space
from nasp_core.types import Active, ChoiceGroup, Mixture
from sif.cells.convolution.edges import ConvEdge, EdgeRow, EdgeRows, branches_of, edge_rows_of, joined
from sif.cells.convolution.operations import CONV_OPERATIONS, NONE, Conv, EdgePlace, EdgeSource, Linear, Rectified
from sif.cells.convolution.skeleton import PictureNetwork, check_least, pooled, stem, unknown_names
from sif.cells.kind import CellKind
from sif.cells.truth import CellTable

__all__ = [
    "NAS_BENCH_201",
    "NasBench201Network",
    "NasBench201Settings",
    "NasBench201Space",
    "arch_string",
    "operations_of",
]

_NAMES = {
    NONE: None,
    "skip_connect": "skip_connect",
    "nor_conv_1x1": "conv_1x1",
    "nor_conv_3x3": "conv_3x3",
    "avg_pool_3x3": "avg_pool_3x3",
}
_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # the order of the benchmark's strings


def arch_string(names: Sequence[str | None]) -> str:
    """Return the benchmark's name of six operations, in the order of the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3."""
    parts = [f"{name or NONE}~{source}" for name, (source, _) in zip(names, _EDGES, strict=True)]
    return "+".join("|" + "|".join(parts[start:end]) + "|" for start, end in ((0, 1), (1, 3), (3, 6)))


def operations_of(text: str) -> tuple[str, ...]:
    """Return the six operations of a benchmark's string; raises `GenotypeError` when it is something else."""
    names = tuple(part.split("~")[0] for part in re.split(r"[|+]+", text.strip()) if part)
    if len(names) != len(_EDGES) or any(name not in _NAMES for name in names) or arch_string(names) != text.strip():
        raise GenotypeError(
            f"not an architecture of NAS-Bench-201: {text!r}; one looks like {arch_string(('nor_conv_3x3',) * 6)}"
        )
    return names


@dataclass(frozen=True, kw_only=True)
class NasBench201Settings:
    """What the space offers, and the scale of its networks (the benchmark's by default).

    - `cells_per_stage`: cells in each of the three stages, of `channels`, twice and four times as many channels.
    - `operations`: the candidates of an edge, by the benchmark's names.
    - `affine`: whether batch norm learns scale and shift, as in the benchmark's trained networks.
    - `channels_last`: memory layout; it makes steps 1.4 times as fast on a CPU (not measured on a GPU).
    """

    channels: int = 16
    cells_per_stage: int = 5
    operations: tuple[str, ...] = tuple(_NAMES)
    classes: int = 10
    in_channels: int = 3
    affine: bool = True
    channels_last: bool = True

    def __post_init__(self) -> None:
        """Check the settings; raises `SpaceError` with all that cannot be built."""
        problems = check_least(self, channels=1, cells_per_stage=1, classes=2, in_channels=1)
        problems += unknown_names("operations", self.operations, tuple(_NAMES))
        if set(self.operations) == {NONE}:
            problems.append(f"operations offers {NONE} alone; a cell needs one that does something")
        if problems:
            raise SpaceError("; ".join(problems))


def _candidate(name: str, place: EdgePlace) -> nn.Module:
    operation = _NAMES[name]
    assert operation is not None
    # the benchmark's pool has no batch norm, with or without scale and shift
    return CONV_OPERATIONS[operation](replace(place, affine=place.affine or operation == "avg_pool_3x3"))


def _unheard(rows: EdgeRows) -> set[int]:
    """Return the nodes from which, at a discrete point, no live edge leads to the cell's output."""
    receiving = {3}
    for (source, node), row in reversed(list(zip(_EDGES, rows, strict=True))):
        if node in receiving and row.active != -1:
            receiving.add(source)
    return {0, 1, 2, 3} - receiving


class _Cell(nn.Module):
    """Four nodes, an edge from each to each later one: `edges[e]` are the candidates of edge e, `none` left out."""

    def __init__(self, channels: int, offered: Sequence[Sequence[str]], *, affine: bool) -> None:
        super().__init__()
        self.edges = nn.ModuleList(ConvEdge(names, EdgePlace(channels, affine=affine), _candidate) for names in offered)

    def forward(self, source: EdgeSource, rows: EdgeRows, unheard: set[int]) -> EdgeSource:
        """Return the last node; no gradient will reach the `unheard` ones."""
        states = [source]
        for node in (1, 2, 3):
            places = [place for place, (_, at) in enumerate(_EDGES) if at == node]
            edges: list[ConvEdge] = [self.edges[p] for p in places]  # type: ignore[misc]
            entering = [rows[p] for p in places], [states[_EDGES[p][0]] for p in places]
            branches = branches_of(edges, *entering)
            states.append(joined(edges, *entering, branches))
            if node in unheard:
                _run_dead(branches)
        return states[3]


def _run_dead(branches: Sequence[Branch]) -> None:
    """Run the dead candidates of a node that no gradient will reach, so that their batch norms see what they would."""
    with torch.no_grad():
        for each in branches:
            if each.active is not None and each.weights is not None and each.weights.requires_grad:
                for index, candidate in enumerate(each.candidates):
                    if index != each.active:
                        candidate()


class _Residual(nn.Module):
    """Halve height and width: two 3x3 convolutions beside a mean pool of 2 with a 1x1 convolution."""

    def __init__(self, entering: int, channels: int, *, affine: bool) -> None:
        super().__init__()
        self.first = Rectified(Conv(entering, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels, affine=affine))
        self.second = Rectified(Conv(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels, affine=affine))
        self.shortcut = Conv(entering, channels, 1, bias=False)

    def forward(self, source: EdgeSource) -> EdgeSource:
        inner = self.second(EdgeSource(self.first(source)))
        short = functional.avg_pool2d(source.value, 2, ceil_mode=True)
        return EdgeSource(self.shortcut(short) + inner)


class _Stack(PictureNetwork):
    """The benchmark's skeleton: stem, three stages of cells, residual blocks between them, batch norm, classifier."""

    def __init__(self, settings: NasBench201Settings, offered: Sequence[Sequence[str]]) -> None:
        super().__init__()
        self.settings, self.channels_last = settings, settings.channels_last
        widths = [settings.channels << stage for stage in range(3)]
        self.stem = stem(settings.in_channels, widths[0])
        self.stages = nn.ModuleList(
            nn.ModuleList(_Cell(width, offered, affine=settings.affine) for _ in range(settings.cells_per_stage))
            for width in widths
        )
        self.blocks = nn.ModuleList(_Residual(w, 2 * w, affine=settings.affine) for w in widths[:2])
        self.norm = nn.BatchNorm2d(widths[2])
        self.classifier = Linear(widths[2], settings.classes)

    def run(
        self, inputs: Tensor, rows: EdgeRows, derived: EdgeRows | None = None, transit: frozenset[int] = frozenset()
    ) -> Tensor:
        """Return logits `[batch, classes]`, with every cell under the same rows, those in `transit` under `derived`."""
        source, unheard = EdgeSource(self.stem(self.picture(inputs))), _unheard(rows)
        for number, stage in enumerate(self.stages):
            assert isinstance(stage, nn.ModuleList)
            for place, cell in enumerate(stage):
                last = number == len(self.blocks) and place == len(stage) - 1
                # a cell whose input leads nowhere cuts off all cells before it
                own = rows if derived is None or number * len(stage) + place not in transit else derived
                source = cell(source, own, {0, 1, 2, 3} if 0 in unheard and not last else unheard)
            if number < len(self.blocks):
                source = self.blocks[number](source)
        logits: Tensor = self.classifier(pooled(EdgeSource(functional.relu(self.norm(source.value)))))
        return logits


class NasBench201Network(_Stack):
    """The plain network of six operations; `none` leaves an edge out."""

    def __init__(self, operations: Sequence[str], settings: NasBench201Settings) -> None:
        super().__init__(settings, [(name,) for name in operations])
        self.rows: EdgeRows = [EdgeRow(-1 if name == NONE else 0) for name in operations]

    def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Return logits `[batch, classes]` of pictures `[batch, in_channels, height, width]`."""
        return self.run(inputs, self.rows)


class NasBench201Space(_Stack, Space):
    """Search the cell of NAS-Bench-201 (Dong and Yang, ICLR 2020): six edges, five operations, 15,625 points.

    One group `edge`, in the order of the benchmark's strings: 0-1, 0-2, 1-2, 0-3, 1-3, 2-3. `none` is a candidate like
    any other: it may win. All cells share their alphas. Some points are one function under two names.
    Shapes: pictures float `[batch, in_channels, height, width]` to logits `[batch, classes]`.
    """

    name: ClassVar[str] = "nas-bench-201"
    cell_form: ClassVar[tuple[int, bool] | None] = (1, False)
    version: ClassVar[int] = 1
    zero_operations: ClassVar[frozenset[str]] = frozenset({NONE})

    def __init__(self, settings: NasBench201Settings | None = None) -> None:
        settings = settings or NasBench201Settings()
        super().__init__(settings, [settings.operations] * len(_EDGES))
        self.groups = (ChoiceGroup("edge", len(_EDGES), settings.operations),)

    def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Return logits `[batch, classes]` of pictures `[batch, in_channels, height, width]` under a mixture."""
        if mixture is None:
            raise SpaceError("a space has no output of its own: give a mixture, or build a genotype")
        derived, (group,) = self.derived(mixture), self.groups
        return self.run(inputs, edge_rows_of(mixture, group), edge_rows_of(derived, group), self.transit)

    def node_inputs(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Return the edges that enter each node; all of them stay."""
        return {"edge": tuple(tuple(e for e, (_, at) in enumerate(_EDGES) if at == node) for node in (1, 2, 3))}

    def cell_kinds(self) -> tuple[str, ...]:
        """Return the stage of each cell."""
        return tuple(f"stage {number}" for number in range(3) for _ in range(self.settings.cells_per_stage))

    def genotype(self, active: Active) -> Genotype:
        """Return the operation of every edge and the settings."""
        names = tuple(self.settings.operations[index] for index in active["edge"])
        settings: dict[str, Any] = asdict(self.settings) | {"operations": list(self.settings.operations)}
        return Genotype(self.name, self.version, {"edge": names}, settings)

    def arch_string(self, active: Active) -> str:
        """Return the benchmark's name of a selection."""
        return arch_string(self.genotype(active).choices["edge"])

    def from_arch_string(self, text: str) -> Genotype:
        """Return the genotype of a benchmark's string; `GenotypeError` if it is none, or names what is not offered."""
        names = operations_of(text)
        offered = self.settings.operations
        missing = sorted({name for name in names if name not in offered})
        if missing:
            raise GenotypeError(f"{text!r} has {', '.join(missing)}; this space offers {', '.join(offered)}")
        return self.genotype({"edge": tuple(offered.index(name) for name in names)})

    def build(self, genotype: Genotype) -> NasBench201Network:
        """Return the plain network of a genotype, at the supernet's scale; see `restricted_state`."""
        (index,) = self.selection(genotype).values()
        names = [self.settings.operations[i] for i in index]
        return NasBench201Network(names, self.settings).to(self.classifier.weight.device)

    def restricted_state(self, genotype: Genotype) -> dict[str, Tensor]:
        """Return the state of the network that `build` makes, taken from the supernet.

        Of each cell `edges.E.K`, K the live candidate of edge E (`none` not counted), becomes `edges.E.0`.
        """
        live = [row.active for row in edge_rows_of(Mixture(active=self.selection(genotype)), self.groups[0])]
        state: dict[str, Tensor] = {}
        for key, value in self.state_dict().items():
            head, found, tail = key.partition(".edges.")
            if not found:
                state[key] = value
                continue
            edge, candidate, rest = tail.split(".", 2)
            if live[int(edge)] == int(candidate):
                state[f"{head}.edges.{edge}.0.{rest}"] = value
        return state


NAS_BENCH_201 = CellKind(
    NasBench201Space,
    NasBench201Settings,
    NasBench201Settings,
    lambda genotype, settings: NasBench201Space(settings).build(genotype),
    task="image",
    offers=("operations",),
    small=NasBench201Settings(
        channels=4,
        cells_per_stage=1,
        operations=("none", "skip_connect", "nor_conv_1x1", "avg_pool_3x3"),
        classes=3,
        in_channels=1,
    ),
    of_the_cell=("operations",),
    text=lambda genotype: arch_string(genotype.choices["edge"]),
    table=CellTable(
        benchmark="NAS-Bench-201",
        cells=len(_NAMES) ** len(_EDGES),
        cell="ArchitectureString",
        columns={
            "cifar10": "CIFAR10TestAccuracy200Epochs",
            "cifar100": "CIFAR100TestAccuracy200Epochs",
            "imagenet16-120": "ImageNetTestAccuracy200Epochs",
        },
        recipe="cifar10-nb201",
        least=NasBench201Settings(channels=1, cells_per_stage=1),
    ),
)

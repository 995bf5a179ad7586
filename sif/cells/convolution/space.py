"""The cell space of convolutional networks that DARTS and NASP search."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nasp_core.errors import SpaceError
from nasp_core.genotype import Genotype
from nasp_core.network import Space
from nasp_core.types import Active, ChoiceGroup, Mixture
from sif.cells.convolution.edges import ConvEdge, EdgeRows, branches_of, edge_rows_of, joined
from sif.cells.convolution.network import CellNetwork, CellSettings, cells_of
from sif.cells.convolution.operations import CONV_OPERATIONS, DARTS_OPERATIONS, NONE, EdgePlace, EdgeSource, Linear
from sif.cells.convolution.own import cell_operation, cell_operation_names
from sif.cells.convolution.skeleton import (
    CellShape,
    PictureNetwork,
    cell_shapes,
    check_least,
    pooled,
    preprocess,
    stem,
    unknown_names,
)
from sif.cells.kind import CellKind

__all__ = ["CONV_CELL", "ConvCellSpace", "ConvSettings"]


@dataclass(frozen=True, kw_only=True)
class ConvSettings:
    """What a conv-cell space offers, and the scale of its supernet (DARTS' search on CIFAR-10 by default).

    - `layers`: cells; with fewer than three there is no normal cell.
    - `nodes`: inner nodes of a cell; node i chooses two of its 2 + i incoming edges.
    - `operations`, `reduce_operations`: the candidates of an edge of a normal and of a reduction cell: names, and
      operations of your own, which are kept by name.
    - `stem_multiplier`: channels of the first convolution, in units of `channels`.
    - `channels_last`: memory layout; it makes steps 1.4 times as fast on a CPU (not measured on a GPU).
    """

    channels: int = 16
    layers: int = 8
    nodes: int = 4
    stem_multiplier: int = 3
    operations: tuple[str, ...] = DARTS_OPERATIONS
    reduce_operations: tuple[str, ...] = DARTS_OPERATIONS
    classes: int = 10
    in_channels: int = 3
    channels_last: bool = True

    def __post_init__(self) -> None:
        """Check the settings; raises `SpaceError` with all that cannot be built."""
        problems = check_least(self, channels=2, layers=3, nodes=1, stem_multiplier=1, classes=2, in_channels=1)
        if self.channels % 2:
            problems.append(f"channels = {self.channels}; a reduction halves them, so the number must be even")
        for what in ("operations", "reduce_operations"):
            names = cell_operation_names(getattr(self, what))
            object.__setattr__(self, what, names)
            problems += unknown_names(what, names, (NONE, *CONV_OPERATIONS), cell_operation)
            if set(names) == {NONE}:
                problems.append(f"{what} offers {NONE} alone; a node keeps two edges that do something")
        if problems:
            raise SpaceError("; ".join(problems))


class _MixedCell(nn.Module):
    """A cell with every candidate on every edge: `edges[e]` are the candidates of edge e, `none` left out."""

    def __init__(self, shape: CellShape, nodes: int, names: Sequence[str]) -> None:
        super().__init__()
        self.nodes, self.reduction = nodes, shape.reduction
        self.first, self.second = preprocess(shape, affine=False)
        self.edges = nn.ModuleList()
        for node in range(nodes):
            for source in range(2 + node):
                place = EdgePlace(shape.channels, 2 if shape.reduction and source < 2 else 1, affine=False)
                self.edges.append(ConvEdge(names, place, lambda name, place: cell_operation(name)(place)))

    def forward(self, before: EdgeSource, previous: EdgeSource, rows: EdgeRows) -> EdgeSource:
        states = [EdgeSource(self.first(before)), EdgeSource(self.second(previous))]
        edges: list[ConvEdge] = list(self.edges)  # type: ignore[arg-type]
        start = 0
        for _ in range(self.nodes):
            into = slice(start, start + len(states))
            start += len(states)
            branches = branches_of(edges[into], rows[into], states)
            states.append(joined(edges[into], rows[into], states, branches))
        return EdgeSource(torch.cat([state.value for state in states[2:]], 1))


class ConvCellSpace(PictureNetwork, Space):
    """Search the two cells of a convolutional network (Liu et al. 2019, section 2.1; NASP, Yao et al. 2020).

    Two groups of choices, `normal` and `reduce`, with one choice an edge: the edges that enter node 0 from the two
    cells before, then those that enter node 1, ... All cells of a kind share their alphas; their weights are their own.
    Shapes: pictures float `[batch, in_channels, height, width]` to logits `[batch, classes]`.
    """

    name: ClassVar[str] = "conv-cell"
    cell_form: ClassVar[tuple[int, bool] | None] = (2, True)
    version: ClassVar[int] = 1
    may_drop: ClassVar[bool] = True
    keeps: ClassVar[int] = 2
    zero_operations: ClassVar[frozenset[str]] = frozenset({NONE})

    def __init__(self, settings: ConvSettings) -> None:
        super().__init__()
        self.settings, self.channels_last = settings, settings.channels_last
        self._relative: dict[str, Tensor] = {}
        nodes, first = settings.nodes, settings.stem_multiplier * settings.channels
        edges = nodes * (nodes + 3) // 2
        names = {False: settings.operations, True: settings.reduce_operations}
        self.groups = (ChoiceGroup("normal", edges, names[False]), ChoiceGroup("reduce", edges, names[True]))
        shapes = list(cell_shapes(settings.layers, settings.channels, first, {False: nodes, True: nodes}))
        self.stem = stem(settings.in_channels, first)
        self.cells = nn.ModuleList(_MixedCell(shape, nodes, names[shape.reduction]) for shape in shapes)
        self.classifier = Linear(nodes * shapes[-1].channels, settings.classes)

    def forward(self, inputs: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Return logits `[batch, classes]` of pictures `[batch, in_channels, height, width]` under a mixture."""
        if mixture is None:
            raise SpaceError("a space has no output of its own: give a mixture, or build a genotype")
        rows = [edge_rows_of(mixture, group) for group in self.groups]
        derived = self.derived(mixture)
        alone = rows if derived is mixture else [edge_rows_of(derived, group) for group in self.groups]
        before = previous = EdgeSource(self.stem(self.picture(inputs)))
        for number, cell in enumerate(self.cells):
            row = (alone if number in self.transit else rows)[1 if cell.reduction else 0]
            before, previous = previous, cell(before, previous, row)
        logits: Tensor = self.classifier(pooled(previous))
        return logits

    def constrain(self, scores: dict[str, Tensor]) -> Active:
        """Return per node the two edges whose best candidate scores highest, each with that candidate; the rest -1.

        `none` is never the best; ties go to the lowest index. Shapes: `scores[group]` `[edges, candidates]`.
        """
        return {group.name: self._two_a_node(scores[group.name], group) for group in self.groups}

    def _two_a_node(self, score: Tensor, group: ChoiceGroup) -> tuple[int, ...]:
        forbidden = [index for index, name in enumerate(group.candidates) if name == NONE]
        score = score.detach().clone()
        score[:, forbidden] = -torch.inf
        best, index = (tensor.tolist() for tensor in score.max(dim=-1))
        active = [-1] * group.choices
        start = 0
        for node in range(self.settings.nodes):
            edges = range(start, start + node + 2)
            for edge in sorted(edges, key=lambda edge: -best[edge])[:2]:  # sorting is stable: a tie keeps its order
                active[edge] = index[edge]
            start += node + 2
        return tuple(active)

    def node_inputs(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Return per group the edges that enter each node; two of them are kept."""
        into = [2 + node for node in range(self.settings.nodes)]
        starts = list(itertools.accumulate(into, initial=0))
        edges = tuple(tuple(range(start, start + count)) for start, count in zip(starts, into, strict=False))
        return {group.name: edges for group in self.groups}

    def cell_kinds(self) -> tuple[str, ...]:
        """Return `reduce` or `normal` for each cell."""
        return tuple("reduce" if cell.reduction else "normal" for cell in self.cells)

    def points(self) -> Iterator[Active]:
        """Yield every selection that meets the constraint; there are far too many to walk but in tiny spaces."""
        for normal in self._cell_points(self.groups[0]):
            for reduce in self._cell_points(self.groups[1]):
                yield {"normal": normal, "reduce": reduce}

    def _cell_points(self, group: ChoiceGroup) -> Iterator[tuple[int, ...]]:
        real = [index for index, name in enumerate(group.candidates) if name != NONE]
        pairs = [itertools.combinations(range(node + 2), 2) for node in range(self.settings.nodes)]
        for kept in itertools.product(*pairs):
            for picks in itertools.product(real, repeat=2 * self.settings.nodes):
                active, start = [-1] * group.choices, 0
                for node, pair in enumerate(kept):
                    for which, edge in enumerate(pair):
                        active[start + edge] = picks[2 * node + which]
                    start += node + 2
                yield tuple(active)

    def relative_parameters(self) -> dict[str, Tensor]:
        """Return each candidate's share of the parameters of all candidates of an edge (as NASP counts size).

        Counted at the base channels and at stride 1, without batch norm: skips, pools and `none` weigh nothing.
        """
        if self._relative:
            return self._relative
        for group in self.groups:
            place = EdgePlace(self.settings.channels, affine=False)
            modules = [None if name == NONE else cell_operation(name)(place) for name in group.candidates]
            counts = [0 if m is None else sum(p.numel() for p in m.parameters()) for m in modules]
            share = torch.tensor(counts, dtype=torch.float32) / max(1, sum(counts))
            self._relative[group.name] = share.expand(group.shape)
        return self._relative

    def genotype(self, active: Active) -> Genotype:
        """Return the picked operation of every edge, None where an edge is dropped, and the settings."""
        choices: dict[str, tuple[str | None, ...]] = {
            group.name: tuple(None if index < 0 else group.candidates[index] for index in active[group.name])
            for group in self.groups
        }
        settings: dict[str, Any] = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.settings).items()}
        return Genotype(self.name, self.version, choices, settings)

    def selection(self, genotype: Genotype) -> Active:
        """Return the live candidates of a genotype; `GenotypeError` if it is of another space or breaks the rule."""
        active = super().selection(genotype)
        cells_of(genotype)
        return active

    def build(self, genotype: Genotype) -> CellNetwork:
        """Return the plain network of a genotype at the supernet's own scale; see `restricted_state`.

        It is the supernet without its dead candidates: no second classifier, no dropped paths, batch norm without
        scale and shift. For a final training make a `CellNetwork` of `cells_of(genotype)` with `CellSettings`.
        """
        self.selection(genotype)
        settings = self.settings
        plain = CellSettings(
            channels=settings.channels,
            layers=settings.layers,
            stem_multiplier=settings.stem_multiplier,
            classes=settings.classes,
            in_channels=settings.in_channels,
            affine=False,
            auxiliary=0.0,
            drop_path=0.0,
            channels_last=settings.channels_last,
        )
        return CellNetwork(cells_of(genotype), plain).to(self.classifier.weight.device)

    def restricted_state(self, genotype: Genotype) -> dict[str, Tensor]:
        """Return the state of the network that `build` makes, taken from the supernet.

        Of cell c, `edges.E.K` (candidate K, `none` not counted, of edge E) becomes `operations.J`, where E is the J-th
        edge that the genotype keeps; everything else keeps its name.
        """
        active = self.selection(genotype)
        kept: dict[bool, list[tuple[str, str]]] = {}
        for reduction, group in zip((False, True), self.groups, strict=True):
            live = [row.active for row in edge_rows_of(Mixture(active=active), group)]
            kept[reduction] = [(str(edge), str(index)) for edge, index in enumerate(live) if index != -1]
        state: dict[str, Tensor] = {}
        for key, value in self.state_dict().items():
            head, found, tail = key.partition(".edges.")
            if not found:
                state[key] = value
                continue
            edge, candidate, rest = tail.split(".", 2)
            places = kept[self.get_submodule(head).reduction]  # type: ignore[index]
            if (edge, candidate) in places:
                state[f"{head}.operations.{places.index((edge, candidate))}.{rest}"] = value
        return state


CONV_CELL = CellKind(
    ConvCellSpace,
    ConvSettings,
    CellSettings,
    lambda genotype, settings: CellNetwork(cells_of(genotype), settings),
    task="image",
    offers=("operations", "reduce_operations"),
    small=ConvSettings(
        channels=4,
        layers=3,
        nodes=2,
        stem_multiplier=1,
        operations=("none", "skip_connect", "conv_1x1", "avg_pool_3x3"),
        reduce_operations=("none", "skip_connect", "conv_1x1", "max_pool_3x3"),
        classes=3,
        in_channels=1,
    ),
    inputs=2,
)

"""The recurrent cell space of DARTS: for each of eight nodes, one earlier state and one activation."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict
from typing import ClassVar

from torch import Tensor

from nasp_core.errors import SpaceError
from nasp_core.genotype import Genotype
from nasp_core.network import Space
from nasp_core.types import Active, ChoiceGroup, Mixture
from sif.cells.kind import CellKind
from sif.cells.recurrent.forms import NodePairs, check_pairs, pairs_of, tree_of
from sif.cells.recurrent.model import RecurrentModel
from sif.cells.recurrent.nodes import Edges, Rule, dense, discrete, first_edge, probed
from sif.cells.recurrent.settings import RecurrentSettings

__all__ = ["RecurrentCellSpace", "RecurrentNetwork"]


class RecurrentNetwork(RecurrentModel):
    """The plain language model of one cell: per node its activation and the earlier state it starts from."""

    def __init__(self, pairs: NodePairs, settings: RecurrentSettings) -> None:
        super().__init__(settings)
        check_pairs(pairs, settings)
        self.pairs = tuple(pairs)

    def rule(self, mixture: Mixture | None, mask: Tensor | None, like: Tensor, length: int) -> Rule:
        """Return the rule of the cell's own edges."""
        return discrete(list(self.nodes), mask, [[pair] for pair in self.pairs])


class RecurrentCellSpace(RecurrentModel, Space):
    """Search the cell of a recurrent language model (Liu et al., ICLR 2019, section 2.1 and appendix A.1.2).

    One choice for every edge from an earlier state into a node (36 for 8 nodes; edges are numbered node by node, see
    `sif.cells.recurrent.nodes`), among the activations. One edge a node is kept: by DARTS at the end, by NASP
    (Yao et al., AAAI 2020, section 4.2) in every step. All edges into a node share its matrix, so no edge has
    weights of its own, and size does not depend on the choice.
    """

    name: ClassVar[str] = "recurrent-cell"
    cell_form: ClassVar[tuple[int, bool] | None] = (1, True)
    version: ClassVar[int] = 1
    may_drop: ClassVar[bool] = True
    keeps: ClassVar[int] = 1
    zero_operations: ClassVar[frozenset[str]] = frozenset({"none"})

    def __init__(self, settings: RecurrentSettings) -> None:
        super().__init__(settings)
        self.groups = (ChoiceGroup("node", first_edge(settings.steps), settings.activations),)
        self._live = [index for index, name in enumerate(settings.activations) if name != "none"]

    def rule(self, mixture: Mixture | None, mask: Tensor | None, like: Tensor, length: int) -> Rule:
        """Return the rule of the mixture: live edges, all edges, or live edges with the gradients of all."""
        if mixture is None or (mixture.active is None and mixture.weights is None):
            raise SpaceError("a space has no output of its own: give a mixture, or build a genotype")
        names, matrices = self.settings.activations, list(self.nodes)
        weights = None if mixture.weights is None else mixture.weights["node"]
        if mixture.active is None:
            assert weights is not None
            return dense(matrices, mask, names, weights)
        edges = self.edges(mixture.active)
        if weights is None or not weights.requires_grad:
            return discrete(matrices, mask, edges)
        return probed(matrices, mask, edges, names, weights, like, length)

    def edges(self, active: Active) -> Edges:
        """Return per node its live incoming edges; those dropped or `none` are left out."""
        picked, names = active["node"], self.settings.activations
        return [
            [
                (names[index], source)
                for source, index in enumerate(picked[first_edge(node) : first_edge(node + 1)])
                if index >= 0 and names[index] != "none"
            ]
            for node in range(self.settings.steps)
        ]

    def constrain(self, scores: dict[str, Tensor]) -> Active:
        """Return per node the one edge with the largest score that is not of `none`; the rest is dropped.

        A tie goes to the earliest state, then to the first activation.
        """
        rows = scores["node"].tolist()
        best = [max(self._live, key=lambda index: row[index]) for row in rows]
        picked = [-1] * len(rows)
        for node in range(self.settings.steps):
            into = range(first_edge(node), first_edge(node + 1))
            edge = max(into, key=lambda number: rows[number][best[number]])
            picked[edge] = best[edge]
        return {"node": tuple(picked)}

    def node_inputs(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Return the edges that enter each node; one of them is kept."""
        steps = range(self.settings.steps)
        return {"node": tuple(tuple(range(first_edge(node), first_edge(node + 1))) for node in steps)}

    def points(self) -> Iterator[Active]:
        """Yield every cell: one edge a node with one activation that is not `none`."""
        per_node = [
            list(itertools.product(range(first_edge(node), first_edge(node + 1)), self._live))
            for node in range(self.settings.steps)
        ]
        for picks in itertools.product(*per_node):
            chosen = dict(picks)
            yield {"node": tuple(chosen.get(edge, -1) for edge in range(first_edge(self.settings.steps)))}

    def genotype(self, active: Active) -> Genotype:
        """Return the activation of every edge that is kept, None for the others, and the settings."""
        names = self.settings.activations
        choices = tuple(None if index < 0 else names[index] for index in active["node"])
        settings = asdict(self.settings) | {"activations": list(names)}
        return Genotype(self.name, self.version, {"node": choices}, settings)

    def equivalence_class(self, active: Active) -> str:
        """Return the cell as a tree: the order of its nodes does not matter (see `tree_of`)."""
        return tree_of(pairs_of(self.genotype(active)))

    def selection(self, genotype: Genotype) -> Active:
        """Return the live candidates that a genotype names; raises `GenotypeError` if it is not of this space."""
        active = super().selection(genotype)
        pairs_of(genotype)
        return active

    def build(self, genotype: Genotype) -> RecurrentNetwork:
        """Return the plain network of a genotype at the settings it names, on this space's device.

        The supernet's weights fit it by name as long as the settings are this space's own; see `resized` for others.
        """
        self.selection(genotype)
        settings = RecurrentSettings.from_plain(genotype.settings)
        return RecurrentNetwork(pairs_of(genotype), settings).to(self.embedding.device)

    def restricted_state(self, genotype: Genotype) -> dict[str, Tensor]:
        """Return the state of the network that `build` makes, taken from the supernet: all of it."""
        return dict(self.state_dict())


RECURRENT_CELL = CellKind(
    RecurrentCellSpace,
    RecurrentSettings,
    RecurrentSettings,
    lambda genotype, settings: RecurrentNetwork(pairs_of(genotype), settings),
    task="text",
    offers=("activations",),
    small=RecurrentSettings(
        vocabulary=7,
        steps=2,
        activations=("none", "tanh", "identity"),
        embedding_dim=5,
        hidden=5,
        init_range=0.5,
        dropout=0.1,
        dropoutx=0.1,
        dropouti=0.1,
        dropoute=0.1,
        weight_dropout=0.1,
        activation_penalty=1e-3,
    ),
    of_the_cell=("steps", "activations"),
)

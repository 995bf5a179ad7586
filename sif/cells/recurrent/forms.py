"""The two forms of a recurrent cell: a genotype's list of edges, and the papers' pairs (activation, earlier state)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from nasp_core.errors import GenotypeError
from nasp_core.genotype import Genotype
from sif.cells.recurrent.nodes import first_edge
from sif.cells.recurrent.settings import RecurrentSettings

__all__ = ["DARTS_PTB", "DARTS_PTB_FIRST", "NodePairs", "check_pairs", "from_pairs", "pairs_of", "resized", "tree_of"]

NodePairs = Sequence[tuple[str, int]]
"""Per node its activation and the earlier state it starts from (0 is the cell's first state): DARTS' published form."""

DARTS_PTB: NodePairs = (
    ("sigmoid", 0),
    ("relu", 1),
    ("relu", 1),
    ("identity", 1),
    ("tanh", 2),
    ("sigmoid", 5),
    ("tanh", 3),
    ("relu", 5),
)
"""The cell that DARTS found on PTB by second order (`DARTS_V2`): 55.7 test perplexity, 23 M parameters."""

DARTS_PTB_FIRST: NodePairs = (
    ("relu", 0),
    ("relu", 1),
    ("tanh", 2),
    ("relu", 3),
    ("relu", 4),
    ("identity", 1),
    ("relu", 5),
    ("relu", 1),
)
"""The cell that DARTS found on PTB by first order (`DARTS_V1`)."""


def check_pairs(pairs: NodePairs, settings: RecurrentSettings) -> None:
    """Raise `GenotypeError` unless `pairs` is a cell of as many nodes as the settings say, with their activations."""
    if len(pairs) != settings.steps:
        raise GenotypeError(f"a cell of {len(pairs)} nodes given to settings of steps = {settings.steps}")
    names = [name for name in settings.activations if name != "none"]
    for node, (name, source) in enumerate(pairs):
        if name not in names:
            raise GenotypeError(f"node {node + 1} has activation {name!r}; there are {', '.join(names)}")
        if not 0 <= source <= node:
            raise GenotypeError(f"node {node + 1} starts from state {source}; there are 0 to {node}")


def from_pairs(pairs: Iterable[tuple[str, int]], settings: RecurrentSettings) -> Genotype:
    """Return the genotype of a cell in the published form; raises `GenotypeError` where it is no cell."""
    cell = [(name, source) for name, source in pairs]
    check_pairs(cell, settings)
    choices: list[str | None] = [None] * first_edge(settings.steps)
    for node, (name, source) in enumerate(cell):
        choices[first_edge(node) + source] = name
    plain = asdict(settings) | {"activations": list(settings.activations)}
    return Genotype("recurrent-cell", 1, {"node": tuple(choices)}, plain)


def pairs_of(genotype: Genotype) -> NodePairs:
    """Return a genotype's cell in the published form; raises `GenotypeError` unless each node has one edge."""
    names = genotype.choices.get("node", ())
    pairs, node = [], 0
    while first_edge(node) < len(names):
        into = names[first_edge(node) : first_edge(node + 1)]
        live = [(name, source) for source, name in enumerate(into) if name is not None and name != "none"]
        if len(into) != node + 1 or len(live) != 1:
            raise GenotypeError(f"node {node + 1} has edges {list(into)}: one of {node + 1} must have an activation")
        pairs += live
        node += 1
    return tuple(pairs)


def tree_of(pairs: NodePairs) -> str:
    """Return a cell as a tree of activations, one text for all orders of its nodes: `tanh(relu tanh(relu))`.

    A node has one earlier state and a matrix of its own, and the output is the mean of all nodes. So a cell is a tree
    that grows from state 0, and cells that differ only in the order of their nodes are one set of functions.
    """

    def from_state(state: int) -> str:
        grown = sorted(
            name + (f"({from_state(node + 1)})" if any(source == node + 1 for _, source in pairs) else "")
            for node, (name, start) in enumerate(pairs)
            if start == state
        )
        return " ".join(grown)

    return from_state(0)


def resized(genotype: Genotype, changes: Mapping[str, Any]) -> Genotype:
    """Return the same cell with other settings around it, such as `DARTS_EVALUATION` or another vocabulary."""
    settings = {**genotype.settings, **changes}
    RecurrentSettings.from_plain(settings)
    return replace(genotype, settings={**settings, "activations": list(settings["activations"])})

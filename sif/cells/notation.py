"""A cell as edges and as one line of text."""

from collections.abc import Iterator, Sequence

from nasp_core.genotype import Genotype
from sif.cells.networks import kind_of

__all__ = ["Edge", "cell_edges", "cell_text", "n_inputs"]

Edge = tuple[int, int, str]


def cell_edges(genotype: Genotype) -> dict[str, list[Edge]]:
    """Return the edges (from, to, operation) of each cell; inputs come first (0, or 0 and 1), then its nodes."""
    inputs = n_inputs(genotype)
    return {group: list(_edges(names, inputs)) for group, names in genotype.choices.items()}


def n_inputs(genotype: Genotype) -> int:
    """Return how many inputs a cell has."""
    return kind_of(genotype).inputs


def _edges(names: Sequence[str | None], inputs: int) -> Iterator[Edge]:
    source, node = 0, inputs
    for name in names:
        if name is not None:
            yield source, node, name
        source += 1
        if source == node:
            source, node = 0, node + 1


def cell_text(genotype: Genotype) -> str:
    """Return the cell in one line: of NAS-Bench-201 in the benchmark's own notation, else node by node."""
    own = kind_of(genotype).text
    if own is not None:
        return own(genotype)
    cells, texts = cell_edges(genotype), []
    for group, edges in cells.items():
        sums: dict[int, list[str]] = {}
        for source, node, name in edges:
            sums.setdefault(node, []).append(f"{name}({source})")
        cell = ", ".join(f"{node} = {' + '.join(parts)}" for node, parts in sums.items())
        texts.append(cell if len(cells) == 1 else f"{group}: {cell}")
    return "; ".join(texts)

"""From recipes and genotypes to supernets and networks of cells."""

from collections.abc import Mapping
from typing import Any

from nasp_core.genotype import Genotype
from nasp_core.network import Network, Space
from sif.cells.convolution.nas_bench_201 import NAS_BENCH_201
from sif.cells.convolution.space import CONV_CELL
from sif.cells.kind import CellKind
from sif.cells.recurrent.space import RECURRENT_CELL
from sif.cells.truth import CellTable
from sif.errors import RunError

__all__ = ["CELL_KINDS", "CELL_TABLES", "build_cells", "kind_of", "make_supernet"]

CELL_KINDS: Mapping[str, CellKind] = {kind.name: kind for kind in (RECURRENT_CELL, CONV_CELL, NAS_BENCH_201)}
"""The spaces of cells by name."""
CELL_TABLES: Mapping[str, CellTable] = {name: kind.table for name, kind in CELL_KINDS.items() if kind.table is not None}
"""The tables of true accuracies, by the name of the space."""


def kind_of(genotype: Genotype) -> CellKind:
    """Return the space of cells that a genotype is of; raises `RunError` for a space that this version lacks."""
    if genotype.space not in CELL_KINDS:
        raise RunError(f"genotype of unknown space {genotype.space!r}; this version knows {', '.join(CELL_KINDS)}")
    return CELL_KINDS[genotype.space]


def make_supernet(recipe: Any, facts: Mapping[str, int]) -> Space:
    """Return the supernet of a recipe for data with the given facts (classes and channels, or vocabulary)."""
    return CELL_KINDS[recipe.space.name].supernet(**recipe.space_settings(), **facts)


def build_cells(genotype: Genotype, settings: Mapping[str, Any], facts: Mapping[str, int]) -> Network:
    """Return the final network of a genotype under a recipe's `[network]` settings; its weights are not drawn yet.

    What belongs to the cell (its nodes, the operations offered) comes from the genotype.
    """
    kind = kind_of(genotype)
    plain = {**settings, **facts, **{key: genotype.settings[key] for key in kind.of_the_cell}}
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()}
    return kind.build(genotype, kind.network_settings(**values))

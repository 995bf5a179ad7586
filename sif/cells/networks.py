"""From recipes and genotypes to supernets and networks of cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasp_core.genotype import Genotype
from nasp_core.network import Network, Space
from sif.cells.convolution.nas_bench_201 import NasBench201Settings, NasBench201Space
from sif.cells.convolution.network import CellNetwork, CellSettings, cells_of
from sif.cells.convolution.space import ConvCellSpace, ConvSettings
from sif.cells.recipes import CellRecipe
from sif.cells.recurrent.forms import pairs_of
from sif.cells.recurrent.settings import RecurrentSettings
from sif.cells.recurrent.space import RecurrentCellSpace, RecurrentNetwork
from sif.errors import RunError

__all__ = ["build_cells", "make_space"]

_SPACES: Mapping[str, Any] = {
    "conv-cell": (ConvCellSpace, ConvSettings),
    "nas-bench-201": (NasBench201Space, NasBench201Settings),
    "recurrent-cell": (RecurrentCellSpace, RecurrentSettings),
}
_OF_THE_CELL = {"nas-bench-201": ("operations",), "recurrent-cell": ("steps", "activations")}


def make_space(recipe: CellRecipe, facts: Mapping[str, int]) -> Space:
    """Return the supernet of a recipe for data with the given facts (classes and channels, or vocabulary)."""
    space, settings = _SPACES[recipe.space.name]
    made: Space = space(settings(**recipe.space_settings(), **facts))
    return made


def build_cells(genotype: Genotype, settings: Mapping[str, Any], facts: Mapping[str, int]) -> Network:
    """Return the final network of a genotype under a recipe's `[network]` settings; its weights are not drawn yet.

    What belongs to the cell (its nodes, the operations offered) comes from the genotype.
    """
    if genotype.space not in _SPACES:
        raise RunError(f"genotype of unknown space {genotype.space!r}; this version knows {', '.join(_SPACES)}")
    of_the_cell = {key: genotype.settings[key] for key in _OF_THE_CELL.get(genotype.space, ())}
    plain = {**settings, **facts, **of_the_cell}
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()}
    if genotype.space == "conv-cell":
        return CellNetwork(cells_of(genotype), CellSettings(**values))
    if genotype.space == "recurrent-cell":
        return RecurrentNetwork(pairs_of(genotype), RecurrentSettings(**values))
    return NasBench201Space(NasBench201Settings(**values)).build(genotype)

"""What a space of cells is beside its supernet: how its networks are made and how its cells are written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from nasp_core.genotype import Genotype
from nasp_core.network import Network, Space
from sif.cells.truth import CellTable

__all__ = ["CellKind"]


@dataclass(frozen=True)
class CellKind:
    """One space of cells; it stands at the end of the space's own file.

    - `space`, `settings`: the supernet, made of settings and the facts of the data.
    - `network_settings`, `build`: of the final network of a cell; `of_the_cell`: which of them the genotype decides.
    - `task`: what its networks answer, `image` or `text`.
    - `offers`: the settings that list the candidates, in the order of the space's groups.
    - `small`: settings of a small supernet, on which the conformance suite runs.
    - `inputs`: how many inputs a cell has.
    - `text`: writes a cell in a notation of its own; None: node by node.
    - `table`: of the true accuracies of all its cells, where somebody trained them.
    """

    space: Any
    settings: Any
    network_settings: Any
    build: Callable[[Genotype, Any], Network]
    task: Literal["image", "text"]
    offers: tuple[str, ...]
    small: Any
    of_the_cell: tuple[str, ...] = ()
    inputs: int = 1
    text: Callable[[Genotype], str] | None = None
    table: CellTable | None = None

    @property
    def name(self) -> str:
        """The name of the space, as recipes and genotypes write it."""
        name: str = self.space.name
        return name

    def supernet(self, **settings: Any) -> Space:
        """Return a new supernet of settings and facts."""
        made: Space = self.space(self.settings(**settings))
        return made

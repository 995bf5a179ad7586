"""What a space of cells is beside its supernet: how its networks are made and how its cells are written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nasp_core.genotype import Genotype
from nasp_core.network import Network, Space

__all__ = ["CellKind"]


@dataclass(frozen=True)
class CellKind:
    """One space of cells; it stands at the end of the space's own file.

    - `space`, `settings`: the supernet, made of settings and the facts of the data.
    - `network_settings`, `build`: of the final network of a cell; `of_the_cell`: which of them the genotype decides.
    - `inputs`: how many inputs a cell has.
    - `text`: writes a cell in a notation of its own; None: node by node.
    """

    space: Any
    settings: Any
    network_settings: Any
    build: Callable[[Genotype, Any], Network]
    of_the_cell: tuple[str, ...] = ()
    inputs: int = 1
    text: Callable[[Genotype], str] | None = None

    @property
    def name(self) -> str:
        """The name of the space, as recipes and genotypes write it."""
        name: str = self.space.name
        return name

    def supernet(self, **settings: Any) -> Space:
        """Return a new supernet of settings and facts."""
        made: Space = self.space(self.settings(**settings))
        return made

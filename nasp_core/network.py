"""What the loop trains: a network, and a network with choices (a space)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from nasp_core.errors import GenotypeError
from nasp_core.genotype import Genotype
from nasp_core.types import Active, ChoiceGroup, Mixture

__all__ = ["Network", "Space"]


class Network(nn.Module):
    """A network that the loop can train; without choices unless it is a `Space`.

    `forward(inputs, mixture=None)` maps a batch of inputs to outputs.
    """

    groups: tuple[ChoiceGroup, ...] = ()

    def reset(self, generator: torch.Generator) -> None:
        """Draw every weight anew."""
        raise NotImplementedError

    def weights(self) -> list[nn.Parameter]:
        """Return the parameters that the weight step trains."""
        architecture = {id(p) for p in self.continuous()}
        return [p for p in self.parameters() if id(p) not in architecture]

    def continuous(self) -> list[nn.Parameter]:
        """Return the parameters that the architecture step trains on validation data, as it does alpha."""
        return []

    def training_forward(self, inputs: Tensor, mixture: Mixture | None) -> tuple[Tensor, Tensor | None]:
        """Return the output and, if the network has one, its penalty on the weights (a scalar) for the weight step."""
        output: Tensor = self(inputs, mixture)
        return output, None

    @torch.no_grad()
    def project_weights(self, mixture: Mixture | None) -> None:
        """Bring the weights that `mixture` used back into their constraint set; nothing by default."""


class Space(Network):
    """A network with choices; knows its constraints and turns a selection into a genotype, and that into a network."""

    name: ClassVar[str]
    version: ClassVar[int]
    may_drop: ClassVar[bool] = False
    """Whether a choice may be dropped (None in a genotype, -1 in a selection)."""

    def constrain(self, scores: dict[str, Tensor]) -> Active:
        """Return the live candidates of the constrained one-hot point nearest to `scores`.

        Shapes: `scores[group]` `[choices, candidates]`. By default the largest score of each choice wins
        (a tie goes to the lowest index); a space with constraints (two edges a node) overrides this, so that
        search and final selection share one rule.
        """
        return {name: tuple(score.argmax(dim=-1).tolist()) for name, score in scores.items()}

    def genotype(self, active: Active) -> Genotype:
        """Return the genotype of a selection, with the continuous parameters as they stand."""
        raise NotImplementedError

    def family(self, active: Active) -> str:
        """Return a name that points share exactly when they are one and the same set of functions.

        By default every point is its own family.
        """
        return self.genotype(active).key()

    def build(self, genotype: Genotype) -> Network:
        """Return the plain network of a genotype, freshly made (call `reset` to draw its weights)."""
        raise NotImplementedError

    def selection(self, genotype: Genotype) -> Active:
        """Return the live candidates that a genotype names; raises `GenotypeError` if it is of another space."""
        if (genotype.space, genotype.version) != (self.name, self.version):
            raise GenotypeError(
                f"genotype of space {genotype.space!r} version {genotype.version} given to space "
                f"{self.name!r} version {self.version}; build it with its own space"
            )
        active: dict[str, tuple[int, ...]] = {}
        for group in self.groups:
            names = genotype.choices.get(group.name, ())
            unknown = [n for n in names if n not in group.candidates and not (n is None and self.may_drop)]
            if unknown or len(names) != group.choices:
                raise GenotypeError(
                    f"genotype choice {group.name} = {list(names)} does not fit: this space has {group.choices} "
                    f"choice(s) among {', '.join(group.candidates)}"
                )
            active[group.name] = tuple(-1 if n is None else group.candidates.index(n) for n in names)
        return active

    def points(self) -> Iterator[Active]:
        """Yield every selection, in a fixed order (all combinations of candidates by default)."""
        places = [(g.name, i) for g in self.groups for i in range(g.choices)]
        sizes = [range(len(g.candidates)) for g in self.groups for _ in range(g.choices)]
        for picks in itertools.product(*sizes):
            active: dict[str, list[int]] = {g.name: [] for g in self.groups}
            for (group, _), pick in zip(places, picks, strict=True):
                active[group].append(pick)
            yield {group: tuple(picked) for group, picked in active.items()}

    def random_point(self, generator: torch.Generator) -> Active:
        """Return a uniformly drawn selection that meets the constraints."""
        scores = {g.name: torch.rand(g.shape, generator=generator) for g in self.groups}
        return self.constrain(scores)

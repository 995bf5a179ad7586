"""Where alpha lives: in a box, on the simplex, free as logits (of edges too), or a switch for each candidate."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.errors import StrategyError
from nasp_core.network import Space
from nasp_core.strategy import Domain
from nasp_core.types import Alpha, group_names

__all__ = ["INPUTS", "Box", "EdgeLogits", "Logits", "Simplex", "Switches", "edge_weights", "subsets"]


@dataclass(frozen=True)
class Box(Domain):
    """Keep every alpha in [low, high] by clipping after each step (NASP's C2, Yao et al. 2020, eq. 6).

    Alpha starts at `start` plus Gaussian noise of standard deviation `noise`. With no noise every choice
    starts at a tie, which the lowest index wins: the first architecture is then the same for every seed.
    """

    low: float = 0.0
    high: float = 1.0
    start: float = 0.5
    noise: float = 1e-3

    gives: ClassVar[frozenset[str]] = frozenset({"box"})

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return alpha at `start` plus noise, float32 `[choices, candidates]` per group."""
        return {
            group.name: (self.start + self.noise * torch.randn(group.shape, generator=generator))
            .clamp_(self.low, self.high)
            .to(device)
            .requires_grad_()
            for group in space.groups
        }

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError` for an empty box and a negative noise."""
        if not self.low < self.high or self.noise < 0:
            raise StrategyError(f"{self.describe()}: needs low < high and noise >= 0")

    @torch.no_grad()
    def retract(self, alpha: Alpha) -> None:
        """Clip alpha to the box, in place (prox of C2)."""
        for tensor in alpha.values():
            tensor.clamp_(self.low, self.high)


@dataclass(frozen=True)
class Logits(Domain):
    """Leave alpha free; it starts as Gaussian noise of standard deviation `noise` around zero.

    The final selection compares candidates, of different choices too, by softmax(alpha) (DARTS, section 2.4).
    """

    noise: float = 1e-3

    gives: ClassVar[frozenset[str]] = frozenset({"logits"})

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return small random logits, float32 `[choices, candidates]` per group."""
        return {
            group.name: (self.noise * torch.randn(group.shape, generator=generator)).to(device).requires_grad_()
            for group in space.groups
        }

    def scores(self, alpha: dict[str, Tensor], space: Space) -> dict[str, Tensor]:
        """Return the weights that the candidates have in the mixture."""
        return {name: torch.softmax(alpha[name], dim=-1) for name in group_names(alpha)}


@dataclass(frozen=True)
class Simplex(Domain):
    """Keep each choice's alpha a distribution, with no entry below a floor.

    `floor` None is ASNG's: 1 / (choices (candidates - 1)) (Akimoto et al. 2019, section 4.2), so that nothing dies out;
    where that is more than half of what evenness gives, half of it. A row below the floor is lifted to it, and what
    that costs is taken from the others in proportion to what they have above it. It starts even, but for `noise`.
    """

    floor: float | None = 1e-5
    noise: float = 0.0

    gives: ClassVar[frozenset[str]] = frozenset({"simplex"})

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError` for a floor that no distribution meets."""
        if (self.floor is not None and not 0 <= self.floor < 0.5) or self.noise < 0:
            raise StrategyError(f"{self.describe()}: needs 0 <= floor < 0.5 and noise >= 0")

    def _least(self, choices: int, candidates: int) -> float:
        """Return the floor of a row of so many candidates, in a space of so many choices in all."""
        floor = 1.0 / (choices * max(1, candidates - 1)) if self.floor is None else self.floor
        return min(floor, 0.5 / candidates)

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return even distributions, but for the noise; float32 `[choices, candidates]` per group."""
        alpha: Alpha = {}
        for group in space.groups:
            logits = self.noise * torch.randn(group.shape, generator=generator)
            alpha[group.name] = torch.softmax(logits, -1).to(device).requires_grad_()
        self.retract(alpha)
        return alpha

    @torch.no_grad()
    def retract(self, alpha: Alpha) -> None:
        """Lift what is below the floor and rescale the rest, in place; a row that is a distribution stays as it is."""
        choices = sum(tensor.shape[0] for tensor in alpha.values())
        for tensor in alpha.values():
            least = self._least(choices, tensor.shape[1])
            above = (tensor - least).clamp_min(0.0)
            room = 1.0 - least * tensor.shape[1]
            total = above.sum(-1, keepdim=True)
            # a row that gave everything away (all below the floor) is even again
            lifted = least + torch.where(total > 0, above * (room / total.clamp_min(1e-30)), room / tensor.shape[1])
            good = ((tensor.sum(-1, keepdim=True) - 1).abs() <= 1e-5) & (tensor.amin(-1, keepdim=True) >= least - 1e-7)
            tensor.copy_(torch.where(good, tensor, lifted))


@dataclass(frozen=True)
class Switches(Domain):
    """Alpha is a switch for each candidate, of either sign: candidates do not compete for a sum of one.

    It starts at 1 / candidates plus noise. Candidates are compared by |alpha|.
    """

    noise: float = 1e-3

    gives: ClassVar[frozenset[str]] = frozenset({"switches"})

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return switches that are on alike, but for the noise; float32 `[choices, candidates]` per group."""
        alpha: Alpha = {}
        for group in space.groups:
            drawn = self.start(len(group.candidates)) + self.noise * torch.randn(group.shape, generator=generator)
            alpha[group.name] = drawn.to(device).requires_grad_()
        return alpha

    def start(self, candidates: int) -> float:
        """Return where each switch starts."""
        return 1.0 / candidates

    def scores(self, alpha: dict[str, Tensor], space: Space) -> dict[str, Tensor]:
        """Return how far each candidate is switched on."""
        return {name: alpha[name].abs() for name in group_names(alpha)}


INPUTS = "inputs"


def subsets(nodes: tuple[tuple[int, ...], ...], size: int) -> list[list[tuple[int, ...]]]:
    """Return per node the sets of `size` of its edges (all of them where it has fewer)."""
    return [list(itertools.combinations(edges, min(size, len(edges)))) for edges in nodes]


def edge_weights(
    logits: Tensor, nodes: tuple[tuple[int, ...], ...], size: int, temperature: float, choices: int
) -> Tensor:
    """Return each edge's weight `[choices]`: the sum, over the sets that contain it, of their softmax in their node.

    Shapes: `logits` `[sets of all nodes, 1]`. The weights into a node sum to the size of its sets.
    """
    total = torch.zeros(choices, dtype=logits.dtype, device=logits.device)
    start = 0
    for sets in subsets(nodes, size):
        shares = torch.softmax(logits[start : start + len(sets), 0] / temperature, 0)
        start += len(sets)
        places = torch.tensor(sets, device=logits.device)
        total = total.index_add(0, places.flatten(), shares.repeat_interleave(places.shape[1]))
    return total


@dataclass(frozen=True)
class EdgeLogits(Logits):
    """Logits of the candidates, and one more for each edge into a node (Xu et al. 2020, PC-DARTS, section 3.3).

    Where a space has no nodes that edges enter, there are the logits alone. Candidates are compared by their softmax
    times that of their edge.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"logits", "edges"})
    needs: ClassVar[dict[str, str]] = {
        "weighs edges": "nothing would learn the edges' logits; use relax = WeightedEdges"
    }

    def size_on(self, space: Space) -> int:
        """Return the size of the sets on a space."""
        return 1

    def init(self, space: Space, generator: torch.Generator, device: torch.device) -> Alpha:
        """Return small random logits of candidates `[choices, candidates]` and of sets `[sets, 1]`."""
        alpha = super().init(space, generator, device)
        for name, nodes in space.node_inputs().items():
            count = sum(map(len, subsets(nodes, self.size_on(space))))
            drawn = self.noise * torch.randn((count, 1), generator=generator)
            alpha[f"{name}/{INPUTS}"] = drawn.to(device).requires_grad_()
        return alpha

    def scores(self, alpha: dict[str, Tensor], space: Space) -> dict[str, Tensor]:
        """Return softmax(alpha) times the softmax of the candidate's edge."""
        plain = super().scores(alpha, space)
        for name, nodes in space.node_inputs().items():
            table = plain[name]
            edges = edge_weights(alpha[f"{name}/{INPUTS}"], nodes, 1, 1.0, table.shape[0])
            plain[name] = table * edges.unsqueeze(1)
        return plain

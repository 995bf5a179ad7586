"""GreedyNAS: train the paths that look good, then evolution.  You et al., CVPR 2020, arXiv:2003.11236."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from nasp_core.errors import StrategyError
from nasp_core.network import Space
from nasp_core.parts import ByRule, Logits, Uniform
from nasp_core.strategy import Paper, StepContext, Strategy
from nasp_core.trials.on_supernet import evolve
from nasp_core.types import Active, Alpha, Mixture, Phase, RelaxState, State

__all__ = ["PAPER", "GreedyFilter", "Pooled", "greedynas"]


@dataclass
class PooledState(RelaxState):
    """The points that the filter left to the weight step: per group the live candidates."""

    paths: list[dict[str, list[int]]] = field(default_factory=list)


@dataclass(frozen=True)
class Pooled(Uniform):
    """In the weight step the points that a gradient left (`GreedyFilter`), together; else a uniformly drawn one."""

    gives: ClassVar[frozenset[str]] = frozenset({"discrete", "random", "pooled"})

    def init(self) -> PooledState:
        """Return the state before the first filter."""
        return PooledState()

    def paths(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> tuple[Mixture, ...]:
        """Return the points to train."""
        assert isinstance(state, PooledState)
        if phase != "weight" or not state.paths:
            return (self.mixture(alpha, space, phase, state, generator),)
        return tuple(Mixture(active={name: tuple(picks) for name, picks in point.items()}) for point in state.paths)


@dataclass(frozen=True)
class GreedyFilter(ByRule):
    """Draw `draws` points, leave the `keep` of least loss on a validation batch to the weight step (You et al. 2020).

    Each point is drawn from a pool of the `pool` best so far with a probability that grows to `greed` over the first
    half of the search, else uniformly (arXiv:2003.11236, sections 3.2 and 3.3). Alpha does not learn.
    """

    draws: int = 10
    keep: int = 5
    pool: int = 1000
    greed: float = 0.8

    needs: ClassVar[dict[str, str]] = {
        "pooled": "the points that pass the filter must be what the weight step trains; use relax = Pooled",
    }

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError` for an empty filter."""
        if not 1 <= self.keep <= self.draws or self.pool < 1:
            raise StrategyError(f"{self.describe()}: needs 1 <= keep <= draws and pool >= 1")

    def remember(self, alpha: Any) -> State:
        """Return the pool: points with their losses, best first."""
        return {"pool": []}

    def step(self, context: StepContext, state: State) -> None:
        """Filter new points, and step the continuous parameters on the best of them."""
        space, generator = context.space, context.generator
        assert isinstance(space, Space)
        drawn: list[Active] = []
        for _ in range(self.draws):
            greedy = float(torch.rand((), generator=generator)) < self.greed * min(1.0, 2 * context.progress)
            if greedy and state["pool"]:
                place = int(torch.randint(len(state["pool"]), (), generator=generator))
                picked: dict[str, Any] = state["pool"][place]["point"]
                drawn.append({name: tuple(picks) for name, picks in picked.items()})
            else:
                drawn.append(space.random_point(generator))
        with torch.no_grad():
            losses = [float(context.validation_loss(Mixture(active=point))) for point in drawn]
        order = sorted(range(self.draws), key=lambda number: losses[number])
        plain = [{name: list(picks) for name, picks in drawn[number].items()} for number in order[: self.keep]]
        assert isinstance(context.relax_state, PooledState)
        context.relax_state.paths = plain
        known = {entry["key"] for entry in state["pool"]}
        scored = ((str(point), point, losses[number]) for point, number in zip(plain, order, strict=False))
        new = [{"key": key, "loss": loss, "point": point} for key, point, loss in scored if key not in known]
        state["pool"] = sorted([*state["pool"], *new], key=lambda entry: float(entry["loss"]))[: self.pool]
        best = Mixture(active=drawn[order[0]])
        self.gradients(context, lambda: context.validation_loss(best), [], state)

    def move(self, context: StepContext, grads: dict[str, Tensor | None], state: State) -> None:
        """Leave alpha as it is."""


PAPER = Paper(
    title="GreedyNAS: Towards Fast One-Shot NAS with Greedy Supernet",
    authors="Shan You, Tao Huang, Mingmin Yang, Fei Wang, Chen Qian, Changshui Zhang",
    venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition",
    year=2020,
    arxiv="2003.11236",
)


def greedynas(
    *,
    draws: int = 10,
    keep: int = 5,
    pool: int = 1000,
    greed: float = 0.8,
    n_supernet_evals: int = 200,
    population: int = 50,
    sample: int = 10,
) -> Strategy:
    """Train the `keep` of `draws` points with the least validation loss in each step; evolve points on the supernet.

    Points are drawn from a pool of the best so far with a probability that grows to `greed` (algorithms 1 and 2).

    Parts: domain=Logits (unused), relax=Pooled, gradient=GreedyFilter, select=Explore(Evolution).
    Shapes: alpha `[choices, candidates]` float32, as it started; loss scalar, mean per batch and path.
    Departs from the paper: the batch that filters is one validation batch (there 1,000 pictures held out for it); the
    search does not stop early when the pool stops changing.
    Fails when: what looks good early is what learns fast: the others are then trained too little to be judged.
    """
    filtered = GreedyFilter(draws=draws, keep=keep, pool=pool, greed=greed)
    select = evolve(n_supernet_evals, population, sample)
    return Strategy(Logits(), Pooled(), filtered, select, name="greedynas", papers=(PAPER,))

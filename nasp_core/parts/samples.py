"""Relaxations that take points one by one: a given one, drawn ones, each candidate in its turn."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.parts.mixtures import Softmax, masked, on_host, projected, straight_through
from nasp_core.strategy import Relax
from nasp_core.types import Alpha, Mixture, Phase, RelaxState

__all__ = ["Categorical", "FairState", "FairTurns", "GumbelHard", "Pinned", "Uniform", "displaced", "gumbel_like"]


def gumbel_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard Gumbel noise in the shape, and on the device, of a tensor."""
    uniform = torch.rand(tensor.shape, generator=generator).clamp_(1e-20, 1.0 - 1e-7)
    return -(-uniform.log()).log().to(tensor.device)


def displaced(alpha: Alpha, scale: dict[str, torch.Tensor | float], generator: torch.Generator) -> Alpha:
    """Return the groups of alpha plus scale * standard normal noise."""
    noise = {name: torch.randn(alpha[name].shape, generator=generator).to(alpha[name].device) for name in scale}
    return {name: alpha[name] + scale[name] * noise[name] for name in scale}


@dataclass(frozen=True)
class Pinned(Relax):
    """Keep the architecture at `point` (group and live candidates of each choice); alpha gets no gradient."""

    point: tuple[tuple[str, tuple[int, ...]], ...]

    gives: ClassVar[frozenset[str]] = frozenset({"discrete", "pinned"})

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return the point."""
        return Mixture(active=dict(self.point))


@dataclass(frozen=True)
class Uniform(Relax):
    """A uniformly drawn point in every step (Guo et al. 2020, arXiv:1904.00420, section 3.2)."""

    gives: ClassVar[frozenset[str]] = frozenset({"discrete", "random"})

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return a new point; in a validation one that draws nothing, nearest to alpha as it started."""
        if phase == "valid":
            return Mixture(active=space.constrain(on_host(masked(alpha, state.alive))))
        return Mixture(active=space.random_point(generator))


@dataclass
class FairState(RelaxState):
    """The present round of each group: whose turn it is, and the order of the candidates, int64 `[choices, turns]`."""

    turns: dict[str, int] = field(default_factory=dict)
    orders: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class FairTurns(Relax):
    """NASP's point in the architecture step; strictly fair single paths in the weight step.

    In each round of as many weight steps as a choice has candidates, every candidate has its turn once, in random
    order (Chu et al. 2021, FairNAS, definition 2); zero operations have nothing to train and get none. So alpha
    compares trained candidates with trained candidates, at the price of one candidate a step, as in NASP. Where a
    constraint keeps some choices and drops others, it is applied to a random ranking of them, and a dropped choice's
    turn is lost.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "discrete", "convex"})

    def init(self) -> FairState:
        """Return the state before the first round."""
        return FairState()

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return the projected point, or in the weight step the next point of the round."""
        if phase != "weight":
            return projected(on_host(masked(alpha, state.alive)), alpha, space, phase)
        assert isinstance(state, FairState)
        scores = {}
        for group in space.groups:
            receiving = torch.tensor(
                [i for i, name in enumerate(group.candidates) if name not in space.zero_operations]
            )
            turn = state.turns.get(group.name)
            if turn is None or turn == len(receiving):
                drawn = torch.rand(group.choices, len(receiving), generator=generator)
                turn, state.orders[group.name] = 0, receiving[torch.argsort(drawn, dim=-1)]
            live = state.orders[group.name][:, turn]
            state.turns[group.name] = turn + 1
            score = torch.rand(group.choices, 1, generator=generator).expand(group.shape).clone()
            scores[group.name] = score.scatter_add_(1, live.unsqueeze(1), torch.ones(group.choices, 1))
        return Mixture(active=space.constrain(scores))


@dataclass(frozen=True)
class GumbelHard(Softmax):
    """One-hot samples of softmax(alpha), with the gradient of their soft form (Dong and Yang 2019, eqs. 4 and 5).

    In the architecture step only the drawn candidate need run (a recurrent cell runs all), and only its weight has a
    gradient; that reaches every alpha of the choice through the softmax at `temperature`. `samples` > 1 draws as many
    disjoint points without replacement, whose mean loss a step follows (MSG-DAS, Tan et al. 2021, arXiv:2107.04324).
    Choices draw by themselves: no edge is dropped while searching. A validation sees the most probable candidates.
    """

    temperature: float = 10.0
    samples: int = 1

    gives: ClassVar[frozenset[str]] = frozenset({"gradient", "discrete", "convex", "temperature", "shares", "random"})

    least: ClassVar[dict[str, float]] = {"samples": 1}

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return one drawn point, or in a validation the most probable one."""
        if phase == "valid":
            best = {name: tuple(t.detach().argmax(-1).tolist()) for name, t in masked(alpha, state.alive).items()}
            return Mixture(active=best)
        return self._drawn(alpha, phase, state, generator, 1)[0]

    def paths(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> tuple[Mixture, ...]:
        """Return `samples` disjoint points, fewer where a choice has fewer candidates."""
        if phase == "valid":
            return (self.mixture(alpha, space, phase, state, generator),)
        return self._drawn(alpha, phase, state, generator, self.samples)

    def _drawn(
        self, alpha: Alpha, phase: Phase, state: RelaxState, generator: torch.Generator, count: int
    ) -> tuple[Mixture, ...]:
        temperature, alive = state.temperature or self.temperature, state.alive
        perturbed = {}
        for name, logits in masked(alpha, state.alive).items():
            perturbed[name] = torch.log_softmax(logits, -1) + gumbel_like(logits, generator)
        soft = {name: torch.softmax(t / temperature, -1) for name, t in perturbed.items()}
        order = {name: t.detach().argsort(-1, descending=True).cpu() for name, t in perturbed.items()}
        # a choice with fewer candidates than samples begins again
        left = {name: t.shape[-1] if alive is None else alive[name].sum(-1).min() for name, t in order.items()}
        points = []
        for number in range(count):
            picks = {name: tuple(t[:, number % int(left[name])].tolist()) for name, t in order.items()}
            points.append(picks)
        if phase == "weight":
            return tuple(Mixture(active=picks) for picks in points)
        made = []
        for picks in points:
            weights = straight_through(picks, soft).weights or {}
            alone = {name: torch.zeros_like(w).scatter(1, _column(picks[name], w), 1.0) for name, w in weights.items()}
            # the weights of what does not run have no gradient, whether or not the space runs it
            only = {name: torch.where(alone[name] > 0, w, torch.zeros_like(w)) for name, w in weights.items()}
            made.append(Mixture(weights=only, kept={name: tuple((pick,) for pick in picks[name]) for name in picks}))
        return tuple(made)


def _column(picks: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.tensor(picks, device=like.device).unsqueeze(1)


@dataclass(frozen=True)
class Categorical(Relax):
    """One live candidate per choice, drawn with probability softmax(alpha).

    Drawn by Gumbel noise on normalised logits. Where edges compete for a node, those with the largest noise stay: their
    size is independent of alpha and of what was drawn, so that which edges stay is drawn evenly, and the
    log-probability of the live candidates is all that depends on alpha. A validation sees the most probable point.
    """

    gives: ClassVar[frozenset[str]] = frozenset({"discrete", "log_prob", "random", "shares"})
    needs: ClassVar[dict[str, str]] = {
        "logits": "points are drawn with probability softmax(alpha); use domain = Logits, or relax = CategoricalShares"
    }

    def logits(self, alpha: Alpha, state: RelaxState) -> dict[str, Tensor]:
        """Return unnormalised log-probabilities `[choices, candidates]`; -inf for what was pruned.

        Args:
            alpha: Per group `[choices, candidates]`.
            state: The relaxation's state.
        """
        return masked(alpha, state.alive)

    def logs(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return log-probabilities `[choices, candidates]`, with alpha's graph; -inf for what cannot be drawn.

        Args:
            alpha: Per group `[choices, candidates]`.
            space: The space.
            state: The relaxation's state.
        """
        logits = self.logits(alpha, state)
        if space.may_drop:  # where edges are dropped, nothing that adds nothing is kept
            for group in space.groups:
                zero = torch.tensor([name in space.zero_operations for name in group.candidates])
                logits[group.name] = logits[group.name].masked_fill(zero.to(logits[group.name].device), -torch.inf)
        return {name: torch.log_softmax(t, -1) for name, t in logits.items()}

    def shares(self, alpha: Alpha, space: Space, state: RelaxState) -> dict[str, Tensor]:
        """Return the probabilities."""
        return {name: log.exp() for name, log in self.logs(alpha, space, state).items()}

    def mixture(
        self, alpha: Alpha, space: Space, phase: Phase, state: RelaxState, generator: torch.Generator
    ) -> Mixture:
        """Return a drawn point; in the architecture step with its log-probability."""
        logs = self.logs(alpha, space, state)
        if phase == "valid":
            return Mixture(active=space.constrain(on_host(logs)))
        with torch.no_grad():
            active = space.constrain(on_host({name: t + gumbel_like(t, generator) for name, t in logs.items()}))
        if phase == "weight":
            return Mixture(active=active)
        live = [logs[name][row, pick] for name, picks in active.items() for row, pick in enumerate(picks) if pick >= 0]
        return Mixture(active=active, log_prob=torch.stack(live).sum())

"""What changes as the search goes on: a warm-up, a temperature, a price on size, candidates that leave for good."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from nasp_core.errors import StrategyError
from nasp_core.network import Space
from nasp_core.parts.mixtures import on_host
from nasp_core.strategy import Schedule, SearchView
from nasp_core.types import Mixture, State

__all__ = ["Complexity", "Prune", "Shrink", "StartAt", "Temperature", "prune", "shares_of"]


@dataclass(frozen=True)
class StartAt(Schedule):
    """Train the weights alone for the first `share` of the search: a warm-up (PC-DARTS: 15 of 50 epochs)."""

    share: float = 0.3

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError`."""
        if not 0 <= self.share < 1:
            raise StrategyError(f"{self.describe()}: the share must be in [0, 1)")

    def arch_step_due(self, step: int, progress: float) -> bool:
        """Return whether the warm-up is over."""
        return progress >= self.share


@dataclass(frozen=True)
class Temperature(Schedule):
    """Set the relaxation's temperature, from `start` to `end`: by equal factors (`exponential`) or equal differences.

    `after`: the share of the search through which it stays at `start`.
    """

    start: float = 1.0
    end: float = 0.1
    kind: Literal["exponential", "linear"] = "exponential"
    after: float = 0.0

    needs: ClassVar[dict[str, str]] = {"temperature": "there is no temperature to set; use relax = Softmax or Gumbel*"}

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError` for what is no temperature."""
        if min(self.start, self.end) <= 0 or not 0 <= self.after < 1 or self.kind not in ("exponential", "linear"):
            raise StrategyError(
                f"{self.describe()}: temperatures must be above 0, after in [0, 1), kind exponential or linear"
            )

    def at(self, progress: float) -> float:
        """Return the temperature at `progress` in [0, 1]."""
        share = max(0.0, (progress - self.after) / (1 - self.after))
        if self.kind == "linear":
            return self.start + (self.end - self.start) * share
        return float(self.start * (self.end / self.start) ** share)

    def advance(self, view: SearchView, state: State) -> None:
        """Set the temperature."""
        view.relax_state.temperature = self.at(view.progress)


@dataclass(frozen=True)
class Complexity(Schedule):
    """Add eta * sum over choices and candidates of size * weight^2 to the validation loss (NASP, section 3.3).

    `Space.relative_parameters` gives every candidate's share of the parameters. At a one-hot point only the live
    candidates have a weight, so only they are pushed down, as in the published code; there the sum is over the normal
    cell alone, here over every group of the space whose candidates differ in size. Of a drawn point, whose mixture has
    no weights, it is the size of the live candidates: a cost for rules that take no gradient of it. Nothing happens
    where size depends on no choice.
    """

    eta: float = 0.0

    least: ClassVar[dict[str, float]] = {"eta": 0}

    def penalty(self, mixture: Mixture, view: SearchView, state: State) -> Tensor | None:
        """Return the price of the mixture, a scalar; None where there is none."""
        sizes = view.space.relative_parameters() if self.eta and isinstance(view.space, Space) else {}
        if not sizes:
            return None
        if mixture.weights is None:  # a drawn point: its size is a cost without gradient
            live = [
                sizes[name][row, pick]
                for name, picks in (mixture.active or {}).items()
                for row, pick in enumerate(picks)
                if name in sizes and pick >= 0
            ]
            return self.eta * torch.stack(live).sum().to(next(view.space.parameters()).device) if live else None
        terms = [
            (mixture.weights[name].square() * share.to(mixture.weights[name].device)).sum()
            for name, share in sizes.items()
        ]
        return self.eta * torch.stack(terms).sum()


def prune(view: SearchView, keep: Mapping[str, Tensor], shares: Mapping[str, Tensor]) -> None:
    """Leave alive what is alive and in `keep`, and never take the last of a choice.

    The strongest candidate that receives gradient stays.

    Shapes: `keep` bool and `shares` float `[choices, candidates]` per group, on the CPU. What is dead stays dead.
    """
    assert isinstance(view.space, Space)
    before, after = view.relax_state.alive, dict[str, Tensor]()
    for group in view.space.groups:
        alive = torch.ones(group.shape, dtype=torch.bool) if before is None else before[group.name]
        receiving = torch.tensor([name not in view.space.zero_operations for name in group.candidates])
        rivals = alive & receiving if bool(receiving.any()) else alive
        strongest = shares[group.name].masked_fill(~rivals, -torch.inf).argmax(-1, keepdim=True)
        last = torch.zeros_like(alive).scatter_(1, strongest, True)
        after[group.name] = (alive & keep[group.name]) | last
    view.relax_state.keep(after)


def shares_of(view: SearchView) -> dict[str, Tensor]:
    """Return how much each candidate weighs at present, by its size; on the CPU, `[choices, candidates]` per group."""
    with torch.no_grad():
        shares = view.relax.shares(view.alpha, view.space, view.relax_state)  # type: ignore[arg-type]
        return on_host({name: share.abs() for name, share in shares.items()})  # a switch may be below zero


@dataclass(frozen=True)
class Prune(Schedule):
    """Drop candidates whose share is below a threshold, for good (Noy et al. 2020, ASAP, algorithm 1).

    The threshold grows linearly from `first` to `last`, from `after` of the search to its end, asked every `every`
    steps. It is in units of an even share among the candidates alive, or with `absolute` in the shares' own unit
    (GOLD-NAS' gates, Bi et al. 2020, section 3.3).
    """

    first: float = 0.4
    last: float = 0.9
    after: float = 0.1
    every: int = 10
    absolute: bool = False

    needs: ClassVar[dict[str, str]] = {"shares": "pruning compares what candidates weigh; use relax = Softmax"}

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError` for thresholds that nothing or everything is below."""
        if not 0 <= self.first <= self.last or not 0 <= self.after < 1 or self.every < 1:
            raise StrategyError(f"{self.describe()}: needs 0 <= first <= last, after in [0, 1), every >= 1")

    def advance(self, view: SearchView, state: State) -> None:
        """Prune, if it is time."""
        if view.progress < self.after or view.step % self.every:
            return
        share = (view.progress - self.after) / (1 - self.after)
        threshold, shares = self.first + (self.last - self.first) * share, shares_of(view)
        alive = view.relax_state.alive or {name: torch.ones_like(s, dtype=torch.bool) for name, s in shares.items()}
        keep = {}
        for name, table in shares.items():
            unit = table.sum(-1, keepdim=True) / alive[name].sum(-1, keepdim=True)
            keep[name] = table >= threshold * (torch.ones_like(unit) if self.absolute else unit)
        prune(view, keep, shares)


@dataclass(frozen=True)
class Shrink(Schedule):
    """At each share of the search in `at`, leave the `keep` strongest candidates of each choice."""

    at: tuple[float, ...] = (0.5,)
    keep: tuple[int, ...] = (4,)

    needs: ClassVar[dict[str, str]] = {"shares": "shrinking compares what candidates weigh; use relax = Softmax"}

    def __post_init__(self) -> None:
        """Check the settings; raises `StrategyError` for stages that do not go together."""
        if len(self.at) != len(self.keep) or list(self.at) != sorted(self.at) or any(k < 1 for k in self.keep):
            raise StrategyError(f"{self.describe()}: needs one keep >= 1 for each at, and at in order")

    def init(self) -> State:
        """Return the number of stages done."""
        return {"done": 0}

    def advance(self, view: SearchView, state: State) -> None:
        """Shrink, where a stage begins."""
        while state["done"] < len(self.at) and view.progress >= self.at[state["done"]]:
            shares, keep = shares_of(view), self.keep[state["done"]]
            rank = {name: s.argsort(-1, descending=True).argsort(-1) for name, s in shares.items()}
            prune(view, {name: places < keep for name, places in rank.items()}, shares)
            state["done"] += 1

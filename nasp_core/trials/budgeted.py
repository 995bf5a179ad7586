"""What multi-trial strategies with a budget share: the count of trainings, and the history of results."""

import importlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor

from nasp_core.errors import SearchError
from nasp_core.network import Space
from nasp_core.parts import FirstOrder
from nasp_core.strategy import Gradient, Paper, qualified
from nasp_core.trials.neighbours import mutated
from nasp_core.trials.points import active_of, fresh_point, key_of, saved_point
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import Active, State

__all__ = ["Budgeted", "Memo", "best_first", "finite_scores", "known_keys", "new_points", "next_of_batch"]
__all__ += ["normal_scores", "points_tried", "required", "seeded"]


@dataclass(frozen=True, kw_only=True)
class Budgeted:
    """A multi-trial strategy with a budget of `trials` whole trainings (fidelities summed up), and a history.

    The state is `generator`, `results` (in order: key, point, fidelity, score) and what a strategy's
    `begin` adds. A strategy says in `propose` what to try next; whole trainings unless it says otherwise.
    """

    trials: int = 50
    gradient: Gradient = FirstOrder()
    name: str = ""
    papers: tuple[Paper, ...] = ()

    least: ClassVar[dict[str, float]] = {"trials": 1}
    """Setting -> the least value that it may have."""

    def __post_init__(self) -> None:
        """Check the settings; raises `SearchError` for counts below their least."""
        wrong = [f"{name} = {getattr(self, name)}" for name, least in self.least.items() if getattr(self, name) < least]
        if wrong:
            rule = ", ".join(f"{name} {least} or more" for name, least in self.least.items())
            raise SearchError(f"{self.name}: {', '.join(wrong)}; it must be: {rule}")

    def begin(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return what a strategy keeps besides its history; nothing by default.

        Args:
            context: The space, and the task where there is one.
            generator: The strategy's source of random numbers.
        """
        return {}

    def propose(self, context: SearchContext, state: State) -> Proposal | None:
        """Return what to try next, None when there is nothing left.

        Args:
            context: The space, and the task where there is one.
            state: `generator`, `results`, and what `begin` added; it may change.
        """
        raise NotImplementedError

    def init(self, context: SearchContext, generator: torch.Generator) -> State:
        """Return the first state: an empty history, and what `begin` adds."""
        return {"generator": generator, "results": [], **self.begin(context, generator)}

    def ask(self, context: SearchContext, state: State) -> Proposal | None:
        """Return the next proposal, None when the budget is spent or nothing new is left."""
        spent = sum(each["fidelity"] for each in state["results"])
        if spent + 1e-9 >= self.trials:
            return None
        proposal = self.propose(context, state)
        return None if proposal is None or spent + proposal.fidelity > self.trials + 1e-9 else proposal

    def tell(self, context: SearchContext, state: State, proposal: Proposal, score: float) -> None:
        """Put a score on record."""
        point = saved_point(proposal.active)
        state["results"].append(
            {"key": key_of(proposal.active), "point": point, "fidelity": proposal.fidelity, "score": score}
        )

    def describe(self) -> dict[str, str]:
        """Return the settings as text."""
        own = [field.name for field in fields(self) if field.name not in ("gradient", "name", "papers")]
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in own)
        made = qualified(type(self), f"{type(self).__name__}({settings})")
        return {"trials": made, "gradient": self.gradient.identify()}


class Memo(dict[str, Any]):
    """What can be worked out again from the rest of a state: kept in `value` between asks, and saved as nothing.

    It must never decide: a strategy without its memo proposes the same points, only slower.
    """

    value: Any = None


def points_tried(state: State) -> list[Active]:
    """Return the points of the history, in order."""
    return [active_of(each["point"]) for each in state["results"]]


def known_keys(state: State) -> set[str]:
    """Return the keys of the points that were tried."""
    return {each["key"] for each in state["results"]}


def finite_scores(state: State) -> list[float]:
    """Return the scores of the history, with the worst of the finite ones (0 where there is none) for -inf."""
    scores = [float(each["score"]) for each in state["results"]]
    worst = min((score for score in scores if math.isfinite(score)), default=0.0)
    return [score if math.isfinite(score) else worst for score in scores]


def best_first(state: State) -> list[int]:
    """Return the places of the history from the best score to the worst; equals in their order."""
    return sorted(range(len(state["results"])), key=lambda place: -state["results"][place]["score"])


def normal_scores(scores: list[float]) -> Tensor:
    """Return the scores' ranks as quantiles of the standard normal, equals alike: float64 `[n]`.

    So a model sees the same targets whatever a metric's unit, and failures far below the rest do not set its scale.
    """
    table = torch.tensor(scores, dtype=torch.float64)
    below = (table[None, :] < table[:, None]).sum(dim=1)
    equal = (table[None, :] == table[:, None]).sum(dim=1)
    quantile = (below + 0.5 * equal) / max(1, len(scores))
    normal: Tensor = torch.special.ndtri(quantile.double())
    return normal


def required(module: str, package: str, extra: str, strategy: str) -> ModuleType:
    """Return an optional module; raises `SearchError` with the way to install it where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise SearchError(
            f"strategy {strategy!r} needs {package}, which is not installed: pip install 'sif-nas[{extra}]'"
        ) from None


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Let modules draw their weights as `generator` says; torch's global generator stays as it was."""
    seed = int(torch.randint(2**31, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def next_of_batch(
    context: SearchContext, state: State, startup: int, choose: Callable[[], list[Active]]
) -> Proposal | None:
    """Return the next point of `state["queue"]`; where it is empty, `choose` fills it; at first random points.

    `choose` is not asked before `startup` points have results. Where it has nothing new either, a random point is
    tried; None when there is none.
    """
    known = known_keys(state)
    state["queue"] = [point for point in state["queue"] if key_of(active_of(point)) not in known]
    if not state["queue"] and len(state["results"]) >= startup:
        state["queue"] = [saved_point(point) for point in choose() if key_of(point) not in known]
    if state["queue"]:
        return Proposal(active_of(state["queue"][0]))
    fresh = fresh_point(context.space, known, state["generator"])
    return None if fresh is None else Proposal(fresh)


def new_points(space: Space, state: State, count: int, parents: int = 10) -> list[Active]:
    """Return `count` points that were not tried, each once: half changed from the best `parents`, half random.

    A changed one is one to three changes away. Fewer where the space is nearly walked through.
    """
    generator, known = state["generator"], known_keys(state)
    points = points_tried(state)
    best = [points[place] for place in best_first(state)[:parents]]

    def change() -> Active:
        point = best[int(torch.randint(len(best), (), generator=generator))]
        for _ in range(int(torch.randint(1, 4, (), generator=generator))):
            point = mutated(space, point, generator)
        return point

    found: dict[str, Active] = {}
    for number in range(count):
        point = fresh_point(space, known, generator, change if number % 2 == 0 else None)
        if point is None:
            break
        known.add(key_of(point))
        found[key_of(point)] = point
    return list(found.values())

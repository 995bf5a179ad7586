"""NASP on wide spaces: fair turns, then a shortlist that the supernet itself ranks.  After Yao et al., AAAI 2020."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from nasp_core.errors import SearchError
from nasp_core.evaluation import better
from nasp_core.methods.fairnas import PAPER as FAIRNAS
from nasp_core.methods.nasp import PAPER
from nasp_core.methods.spos import PAPER as SPOS
from nasp_core.network import Space
from nasp_core.parts import Box, FairTurns, FirstOrder
from nasp_core.strategy import Select, SelectContext, Strategy
from nasp_core.trials.neighbours import changes
from nasp_core.types import Active, Task, derive_seed

__all__ = ["Shortlist", "climb", "nasp_shortlist"]

_Key = tuple[tuple[str, tuple[int, ...]], ...]


def climb(
    space: Space, start: Active, metric: Callable[[Active], float | None], is_better: Callable[[float, float], bool]
) -> None:
    """Ask for the metric of a point, then choice by choice of all its alternatives, going on from the best each time.

    Choices of more candidates come first: there is more to gain, before the asking is over.
    Ends when no change of any one choice is better, or `metric` says None (no more evaluations). A change that the
    space's constraints do not allow (`Space.constrain`) is taken to the nearest point that they do.
    """
    groups = sorted(space.groups, key=lambda group: -len(group.candidates))
    places = [(group, choice) for group in groups for choice in range(group.choices)]
    here, value, rests = start, metric(start), 0
    while value is not None and rests < len(places):
        for group, choice in places:
            best, best_value = here, value
            for changed in changes(space, here, group, choice):
                seen = metric(changed)
                if seen is None:
                    return
                if is_better(seen, best_value):
                    best, best_value = changed, seen
            rests = rests + 1 if best is here else 0
            here, value = best, best_value


@dataclass(frozen=True)
class Shortlist(Select):
    """Rank points by the supernet's own validation metric; the best are trained alone, and the best of these win.

    The supernet is asked about up to `n_supernet_evals` points: climbs choice by choice (`climb`), the first from
    alpha's point, the others from random ones (SPOS, Guo et al. 2020, searches its supernet by evolution). Of the first
    `count` of different equivalence classes (`Space.equivalence_class`) each is trained on the final schedule divided
    by `epoch_divisor` (see `Training.shortened`); from the best of them one more climb asks such trainings, until there
    were `trainings` in all. The best `keep` are trained on the final schedule itself, which decides.

    A short training alone favours what learns fast over what ends best; a supernet alone favours what shares weights
    well. Fails when the best point is in neither one's favour.
    """

    n_supernet_evals: int = 120
    count: int = 4
    trainings: int = 16
    epoch_divisor: float = 4.0
    keep: int = 2

    def __post_init__(self) -> None:
        """Check the settings; raises `SearchError` for an empty list."""
        least = min(self.n_supernet_evals, self.count, self.epoch_divisor, self.keep)
        if least < 1 or self.trainings < self.count or self.keep > self.trainings:
            raise SearchError(
                f"{self.describe()}: all must be 1 or more, trainings at least count, and keep at most trainings"
            )

    def select(self, context: SelectContext) -> Active:
        """Return the winner; ties go to what came first."""
        ranked = self._ranked(context)
        if self.trainings == 1:
            return ranked[0]
        short = context.final.shortened(self.epoch_divisor)
        trained: dict[str, tuple[float, Active]] = {}

        def metric(point: Active) -> float | None:
            kind = context.space.equivalence_class(point)
            if kind not in trained:
                if len(trained) >= self.trainings:
                    return None
                plain = context.space.canonical(point)
                trained[kind] = context.trained_metric(plain, short), plain
            return trained[kind][0]

        for point in ranked:
            metric(point)
        best = _first(context.task, list(trained.values()))[0]
        climb(context.space, best, metric, lambda one, two: better(context.task, one, two))
        kept = _first(context.task, list(trained.values()))[: self.keep]
        if len(kept) > 1:
            kept = _first(context.task, [(context.trained_metric(point, context.final), point) for point in kept])
        return kept[0]

    def _ranked(self, context: SelectContext) -> list[Active]:
        """Return the best of each equivalence class by the supernet, `count` at most."""
        space, seen = context.space, dict[_Key, tuple[float, Active]]()
        generator = torch.Generator().manual_seed(derive_seed(context.seed, "shortlist"))

        def look(point: Active) -> float | None:
            point = space.canonical(point)
            key = tuple((group.name, point[group.name]) for group in space.groups)
            if key not in seen:
                if len(seen) >= self.n_supernet_evals:
                    return None
                seen[key] = context.supernet_metric(point), point
            return seen[key][0]

        start, stale = space.constrain({name: score.clone() for name, score in context.scores.items()}), 0
        while len(seen) < self.n_supernet_evals and stale < self.n_supernet_evals:
            before = len(seen)
            climb(space, start, look, lambda one, two: better(context.task, one, two))
            stale = stale + 1 if len(seen) == before else 0  # a small space is soon seen whole
            start = space.random_point(generator)
        classes: dict[str, Active] = {}
        for point in _first(context.task, list(seen.values())):
            classes.setdefault(space.equivalence_class(point), point)
        return _spread(list(classes.values()), self.count)


def _spread(points: list[Active], count: int) -> list[Active]:
    """Return `count` of the points in their order: first those that differ from all before in two choices or more.

    Neighbours need no place of their own: a climb meets them.
    """
    chosen: list[Active] = []
    for point in points:
        if len(chosen) < count and all(_differences(point, other) > 1 for other in chosen):
            chosen.append(point)
    rest = [point for point in points if not any(point is other for other in chosen)]
    return [*chosen, *rest][:count]


def _differences(one: Active, two: Active) -> int:
    return sum(a != b for name in one for a, b in zip(one[name], two[name], strict=True))


def _first(task: Task, scored: list[tuple[float, Active]]) -> list[Active]:
    """Return the points best first; equals stay in order, and what is not a number comes last."""

    def place(entry: tuple[float, Active]) -> float:
        metric = entry[0]
        return float("inf") if metric != metric else -metric if task.maximise else metric

    return [point for _, point in sorted(scored, key=place)]


def nasp_shortlist(
    *,
    alpha_lr: float = 3e-3,
    noise: float = 1e-3,
    n_supernet_evals: int = 120,
    finalists: int = 4,
    trainings: int = 16,
    epoch_divisor: float = 4.0,
    keep: int = 2,
) -> Strategy:
    """Search with NASP's proximal step and fair turns; the supernet ranks points, and short trainings decide.

    For spaces of several choices, where alpha's point and its neighbours are too few: the supernet is asked about
    `n_supernet_evals` points, climbing from alpha's and from random ones; the best `finalists`, and what a climb from
    their best meets, are trained alone on a schedule shortened by `epoch_divisor` (`trainings` in all), and the best
    `keep` in full.

    Parts: domain=Box(0, 1), relax=FairTurns, gradient=FirstOrder, select=Shortlist.
    Shapes: alpha `[choices, candidates]` float32 in [0, 1]; loss scalar, mean per batch.
    Departs from the paper: as `nasp-ranked`, and alpha is only where the first climb starts.
    Fails when: candidates that share embeddings spoil them for each other, so that the supernet ranks at random.
    """
    return Strategy(
        domain=Box(0.0, 1.0, start=0.5, noise=noise),
        relax=FairTurns(),
        gradient=FirstOrder(lr=alpha_lr),
        select=Shortlist(
            n_supernet_evals=n_supernet_evals,
            count=finalists,
            trainings=trainings,
            epoch_divisor=epoch_divisor,
            keep=keep,
        ),
        name="nasp-shortlist",
        papers=(PAPER, FAIRNAS, SPOS),
    )

"""The shortlist: climbs on the supernet's own metric, then trainings alone that decide."""

import dataclasses
import math

import pytest
import torch

from nasp_core.errors import SearchError
from nasp_core.methods.nasp_shortlist import Shortlist, climb
from nasp_core.network import Space
from nasp_core.optimise import Optimiser, Training
from nasp_core.strategy import SelectContext
from nasp_core.types import Active
from sif.encodings.histories import Histories
from sif.spaces.wide import WideSpace
from sif.spaces.wide_settings import WideSettings
from sif.testing.planted import PlantedTask

FINAL = Training(epochs=12, optimiser=Optimiser(learning_rate=0.1))


def space(**settings: object) -> WideSpace:
    offered = WideSettings(embedding_dim=2, mlp=(2,), **settings)  # type: ignore[arg-type]
    return WideSpace((3, 3), offered, Histories.empty((3, 3)))


def distance(point: Active, goal: Active) -> float:
    return float(sum(a != b for name in goal for a, b in zip(point[name], goal[name], strict=True)))


def context(built: Space, supernet: dict[str, float] | None, alone: dict[str, float], goal: Active | None = None):  # type: ignore[no-untyped-def]
    """A context whose metrics (smaller is better) are tables by key, 9 elsewhere, or the distance to a goal."""
    asked: list[tuple[str, int]] = []
    looked: list[str] = []

    def look(active: Active) -> float:
        looked.append(built.genotype(active).key())
        return distance(active, goal) if goal is not None else (supernet or {}).get(looked[-1], 9.0)

    def trained(active: Active, training: Training) -> float:
        key = built.genotype(active).key()
        asked.append((key, training.epochs))
        return alone.get(f"{key} {training.epochs}", 9.0)

    scores = {group.name: torch.rand(group.shape, generator=torch.Generator().manual_seed(1)) for group in built.groups}
    made = SelectContext(built, PlantedTask("plus", (5, 4)), scores, look, trained, FINAL, seed=3)
    return made, looked, asked


def test_a_climb_reaches_the_best_point_by_single_changes() -> None:
    built = space(branches=2)
    points = [built.random_point(torch.Generator().manual_seed(seed)) for seed in range(2)]
    seen: dict[str, float] = {}

    def metric(point: Active) -> float:
        return seen.setdefault(built.genotype(point).key(), distance(point, points[1]))

    climb(built, points[0], metric, lambda one, two: one < two)
    assert min(seen.values()) == 0.0
    assert len(seen) < 400, "of more than 400,000 points"


def test_a_climb_ends_where_nothing_more_may_be_asked() -> None:
    built, asked = space(), []

    def metric(point: Active) -> float | None:
        asked.append(point)
        return None if len(asked) > 5 else 1.0

    climb(built, built.random_point(torch.Generator()), metric, lambda one, two: one < two)
    assert len(asked) == 6


def test_the_supernet_is_asked_no_more_than_it_may_be_and_never_twice() -> None:
    built = space()
    made, looked, _ = context(built, {}, {})
    Shortlist(n_supernet_evals=40, count=3, keep=1).select(made)
    assert len(looked) == len(set(looked)) == 40


def test_a_space_smaller_than_the_evaluations_is_seen_whole() -> None:
    built = space(encodings=("id",), elementwise=("identity",), operations=("multiply", "max"), biases=("on",))
    made, looked, _ = context(built, {}, {})
    Shortlist(n_supernet_evals=500, count=3, keep=1).select(made)
    assert set(looked) == {built.genotype(built.canonical(point)).key() for point in built.points()}


def test_the_best_of_the_supernet_train_shortly_and_the_best_of_these_in_full() -> None:
    built = space(encodings=("id",), elementwise=("identity",), biases=("on",), predictors=("linear", "mlp"))
    points = {
        name: next(
            built.genotype(point)
            for point in built.points()
            if (built.genotype(point).choices["operation"], built.genotype(point).choices["predictor"]) == name
        ).key()
        for name in ((("multiply",), ("linear",)), (("max",), ("linear",)), (("plus",), ("mlp",)))
    }
    product, maximum, tower = points.values()
    supernet = {product: 0.3, maximum: 0.1, tower: 0.2}
    alone = {f"{product} 3": 0.5, f"{maximum} 3": 0.6, f"{tower} 3": 0.4, f"{product} 12": 0.1, f"{tower} 12": 0.2}
    made, _, asked = context(built, supernet, alone)
    won = Shortlist(n_supernet_evals=500, count=3, trainings=3, epoch_divisor=4.0, keep=2).select(made)
    assert built.genotype(won).key() == product
    assert asked == [(maximum, 3), (tower, 3), (product, 3), (tower, 12), (product, 12)]


def test_what_trains_best_is_climbed_from_until_the_trainings_are_used() -> None:
    built = space(operations=("multiply", "max"), elementwise=("identity",), predictors=("linear",))
    goal = next(p for p in built.points() if built.genotype(p).key().startswith("encoding=id+history,history"))
    alone = {f"{built.genotype(p).key()} 3": distance(p, goal) for p in built.points()}
    made, _, asked = context(built, {}, alone)
    won = Shortlist(n_supernet_evals=1, count=1, trainings=12, keep=1).select(made)
    assert distance(won, goal) == 0
    assert len(asked) == len(set(asked)) <= 12
    made, _, asked = context(built, {}, alone)
    Shortlist(n_supernet_evals=1, count=1, trainings=4, keep=1).select(made)
    assert len(asked) == 4


def test_one_of_a_family_stands_for_it() -> None:
    built = space(encodings=("id",), elementwise=("identity",), biases=("on",), operations=("plus", "minus", "concat"))
    made, _, asked = context(built, {}, {})
    Shortlist(n_supernet_evals=500, count=50, trainings=50, keep=1).select(made)
    classes = {built.equivalence_class(point) for point in built.points()}
    assert len(asked) == len(classes) < sum(1 for _ in built.points())


def test_what_is_not_a_number_comes_last() -> None:
    built = space(encodings=("id",), elementwise=("identity",), biases=("on",), operations=("max", "multiply"))
    made, _, asked = context(built, {}, {})
    keys = [built.genotype(point).key() for point in built.points()]
    metrics = dict(zip(keys, [math.nan, 0.2, *([0.5] * (len(keys) - 2))], strict=True))
    made = dataclasses.replace(made, supernet_metric=lambda point: metrics[built.genotype(point).key()])
    Shortlist(n_supernet_evals=500, count=2, trainings=2, keep=1).select(made)
    assert asked[0][0] == keys[1]
    assert keys[0] not in {key for key, _ in asked}


def test_points_that_may_not_be_found_are_not_looked_at() -> None:
    built = space(additive=False)
    made, looked, _ = context(built, {}, {})
    Shortlist(n_supernet_evals=200, count=3, keep=1).select(made)
    allowed = {built.genotype(point).key() for point in built.points()}
    assert set(looked) <= allowed


@pytest.mark.parametrize(
    "wrong", [{"n_supernet_evals": 0}, {"count": 0}, {"epoch_divisor": 0.5}, {"keep": 0}, {"count": 9, "trainings": 8}]
)
def test_an_empty_shortlist_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SearchError, match=r"all must be 1 or more, trainings at least count"):
        Shortlist(**wrong)  # type: ignore[arg-type]

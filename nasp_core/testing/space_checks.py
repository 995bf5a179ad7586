"""What every space must keep, whatever the strategy; each check raises AssertionError with the figures."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from nasp_core.genotype import Genotype
from nasp_core.network import Space
from nasp_core.testing.cases import Case, fresh_space
from nasp_core.types import Active, Mixture

__all__ = ["space_checks"]

_POINTS = 200
_SAMPLE = 30


@contextmanager
def _same_dropout() -> Iterator[None]:
    """Give what a network draws within the block the same random numbers each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        yield


def _some_points(space: Space) -> list[Active]:
    """Return every point of a small space, and a sample of a large one."""
    points = list(itertools.islice(space.points(), _POINTS + 1))
    if len(points) <= _POINTS:
        return points
    generator = torch.Generator().manual_seed(8)
    drawn = [space.random_point(generator) for _ in range(_SAMPLE)]
    return list({space.genotype(active).key(): active for active in drawn}.values())


def built_network_equals_restricted_space(case: Case) -> None:
    """A point through JSON and `build`, with weights copied, outputs what the supernet restricted to it outputs."""
    space, batch = fresh_space(case), case.task().stream("valid", 24, 0).batch(0)
    for active in _some_points(space):
        genotype = Genotype.from_json(space.genotype(active).to_json())
        assert space.selection(genotype) == active, f"{active} became {space.selection(genotype)}"
        network = space.build(genotype)
        network.reset(torch.Generator().manual_seed(9))
        case.transfer(space, active, network)
        with torch.no_grad():
            with _same_dropout():
                alone, _ = network.step(batch.inputs)
            with _same_dropout():
                error = float((alone - space.step(batch.inputs, Mixture(active=active))[0]).abs().max())
        assert error <= 1e-6, f"{genotype.key()}: outputs differ by {error}"


def points_are_distinct(case: Case) -> None:
    """`points` yields no genotype twice, `constrain` leaves each as it is, and random points are among them.

    Of a large space a sample is seen: its first points in order, and points drawn at random.
    """
    space = fresh_space(case)
    first = list(itertools.islice(space.points(), _POINTS + 1))
    large = len(first) > _POINTS
    keys = []
    for active in first + (_some_points(space) if large else []):
        keys.append(space.genotype(active).key())
        scores = {group.name: torch.zeros(group.shape) for group in space.groups}
        for name, indices in active.items():
            for row, index in enumerate(indices):
                if index >= 0:
                    scores[name][row, index] = 1.0
        assert space.constrain(scores) == active, f"{active} is projected to {space.constrain(scores)}"
    assert len(set(keys[: len(first)])) == len(first), f"points named twice: {sorted(keys)}"
    if large:
        return
    generator = torch.Generator().manual_seed(0)
    drawn = {space.genotype(space.random_point(generator)).key() for _ in range(20 * len(keys))}
    assert drawn == set(keys), f"never drawn: {set(keys) - drawn}; not points: {drawn - set(keys)}"


def reset_depends_on_seed_alone(case: Case) -> None:
    """`reset` gives the same weights for the same generator, others for another, and leaves none as it was."""
    space = case.space()
    resets = []
    for seed in (0, 1, 0):
        space.reset(torch.Generator().manual_seed(seed))
        resets.append([p.detach().clone() for p in space.parameters()])
    assert all(map(torch.equal, resets[0], resets[2])), "two resets with one seed differ"
    assert any(not torch.equal(a, b) for a, b in zip(resets[0], resets[1], strict=True)), "reset ignores its generator"


space_checks: Mapping[str, Callable[[Case], None]] = {
    "built_network_equals_restricted_space": built_network_equals_restricted_space,
    "points_are_distinct": points_are_distinct,
    "reset_depends_on_seed_alone": reset_depends_on_seed_alone,
}
"""The checks that a space must pass whatever the strategy, by name."""

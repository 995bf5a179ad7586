"""The neighbours of a point: what one change of one choice leads to."""

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.trials.points import key_of
from nasp_core.types import Active, ChoiceGroup

__all__ = ["changes", "mutated", "neighbours"]


def changes(space: Space, point: Active, group: ChoiceGroup, choice: int) -> list[Active]:
    """Return the allowed points nearest to those that take another candidate in one choice.

    Where the space drops choices, a change can push out any of the others that live: each gives a point of its own.
    """
    found: dict[str, Active] = {}
    for candidate in range(len(group.candidates)):
        if candidate != point[group.name][choice]:
            for victim in _victims(space, point, group, choice):
                changed = _changed(space, point, group, choice, candidate, victim)
                found.setdefault(key_of(changed), changed)
    found.pop(key_of(point), None)
    return list(found.values())


def neighbours(space: Space, point: Active) -> list[Active]:
    """Return all points that one change of one choice leads to (`changes`), each once, in a fixed order."""
    found: dict[str, Active] = {}
    for group in space.groups:
        for choice in range(group.choices):
            for changed in changes(space, point, group, choice):
                found.setdefault(key_of(changed), changed)
    return list(found.values())


def mutated(space: Space, point: Active, generator: torch.Generator) -> Active:
    """Return the point with one choice changed, drawn uniformly from the choices and then from the candidates.

    `Space.constrain` may take it back to the point itself.

    Args:
        space: The space; `Space.constrain` may take the change back.
        point: The live candidates of the point.
        generator: Draws the choice and the candidate.
    """
    places = [(g, choice) for g in space.groups if len(g.candidates) > 1 for choice in range(g.choices)]
    if not places:
        return point
    group, choice = places[_below(len(places), generator)]
    others = [c for c in range(len(group.candidates)) if c != point[group.name][choice]]
    victims = _victims(space, point, group, choice)
    candidate, victim = others[_below(len(others), generator)], victims[_below(len(victims), generator)]
    return _changed(space, point, group, choice, candidate, victim)


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _victims(space: Space, point: Active, group: ChoiceGroup, choice: int) -> list[int | None]:
    """Return which other live choices of the group may give way to a change: None where nothing is ever dropped."""
    if not space.may_drop or point[group.name][choice] >= 0:
        return [None]
    return [other for other, pick in enumerate(point[group.name]) if pick >= 0] or [None]


def _changed(
    space: Space, point: Active, group: ChoiceGroup, choice: int, candidate: int, victim: int | None
) -> Active:
    scores = {g.name: _one_hot(point[g.name], g.shape) for g in space.groups}
    scores[group.name][choice, candidate] = 3.0  # more than what the change costs elsewhere
    if victim is not None:
        scores[group.name][victim] *= 0.5
    return space.constrain(scores)


def _one_hot(picks: tuple[int, ...], shape: tuple[int, int]) -> Tensor:
    scores = torch.zeros(shape)
    for row, pick in enumerate(picks):
        if pick >= 0:
            scores[row, pick] = 1.0
    return scores

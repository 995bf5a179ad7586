"""Points of a space as plain data, as token sequences and as vectors; drawing a point that was not tried yet."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nasp_core.network import Space
from nasp_core.types import Active, State

__all__ = ["active_of", "fresh_point", "key_of", "one_hot", "point_of", "saved_point", "tokens_of", "vocabulary"]


def key_of(active: Active) -> str:
    """Return a selection as one short text of indices, the same for equal selections."""
    return " ".join(f"{name}={','.join(map(str, picks))}" for name, picks in active.items())


def saved_point(active: Active) -> State:
    """Return a selection as plain data, for a state."""
    return {name: list(picks) for name, picks in active.items()}


def active_of(saved: Mapping[str, Sequence[int]]) -> Active:
    """Return the selection that `saved_point` made plain."""
    return {name: tuple(picks) for name, picks in saved.items()}


def fresh_point(
    space: Space,
    known: Collection[str],
    generator: torch.Generator,
    draw: Callable[[], Active] | None = None,
    tries: int = 100,
) -> Active | None:
    """Return a point whose key is not among `known`: of `tries` draws of `draw`, else of a hundred random ones.

    None where they brought nothing new: the space is as good as walked through.
    """
    for number in range(100 if draw is None else tries + 100):
        active = space.random_point(generator) if draw is None or number >= tries else draw()
        if key_of(active) not in known:
            return active
    return None


def vocabulary(space: Space) -> list[int]:
    """Return how many tokens each choice has, in the order of the groups: its candidates, and one for a dropped one."""
    return [len(g.candidates) + space.may_drop for g in space.groups for _ in range(g.choices)]


def tokens_of(space: Space, active: Active) -> list[int]:
    """Return a selection as one token a choice, in the order of the groups; the token after the last means dropped."""
    return [pick if pick >= 0 else len(g.candidates) for g in space.groups for pick in active[g.name]]


def point_of(space: Space, tokens: Sequence[int], generator: torch.Generator) -> Active:
    """Return the point nearest to a token sequence that meets the space's constraints (`Space.constrain`).

    Where several are as near (more edges drawn than a node may keep), `generator` decides among them.
    """
    scores: dict[str, Tensor] = {}
    at = 0
    for group in space.groups:
        score = 0.5 * torch.rand(group.shape, generator=generator)
        for choice in range(group.choices):
            if tokens[at] < len(group.candidates):
                score[choice, tokens[at]] += 1.0
            at += 1
        scores[group.name] = score
    return space.constrain(scores)


def one_hot(space: Space, points: Sequence[Active]) -> Tensor:
    """Return points as rows of zeros and ones, one column a candidate of a choice: float32 `[points, columns]`."""
    sizes = [len(g.candidates) for g in space.groups for _ in range(g.choices)]
    columns: list[list[int]] = []
    rows: list[list[int]] = []
    for number, point in enumerate(points):
        start = 0
        picks: Any = (pick for g in space.groups for pick in point[g.name])
        for size, pick in zip(sizes, picks, strict=True):
            if pick >= 0:
                rows.append([number])
                columns.append([start + pick])
            start += size
    table = torch.zeros(len(points), sum(sizes))
    table[torch.tensor(rows).flatten().long(), torch.tensor(columns).flatten().long()] = 1.0
    return table

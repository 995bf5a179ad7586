"""What the strategies that predict share: pools of new points, and batches of the promising ones."""

from collections.abc import Callable

import torch

from nasp_core.network import Space
from nasp_core.trials.budgeted import best_first, known_keys, points_tried
from nasp_core.trials.neighbours import mutated
from nasp_core.trials.points import active_of, fresh_point, key_of, saved_point
from nasp_core.trials.protocol import Proposal, SearchContext
from nasp_core.types import Active, State

__all__ = ["new_points", "next_of_batch"]


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

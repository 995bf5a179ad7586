"""The supernet of a study: NASP's, which ranks architectures of one table and proposes those that it ranks first."""

import time
from typing import Any

from nasp_core.errors import SearchError
from nasp_core.loop import Observer
from nasp_core.search import search
from nasp_core.types import State
from sif.problems.tables import TableInstance
from sif.runs.stages import Stages
from sif.studies.proposals import ranking_strategy
from sif.studies.trials import OutOfTime, Until
from sif.tasks import watched

__all__ = ["ranked_by_supernet"]

_EVALUATIONS, _PROPOSED = 60, 6  # of points by the supernet, and how many it proposes


def ranked_by_supernet(
    instance: TableInstance, stages: Stages, budget: str, deadline: float | None
) -> tuple[list[dict[str, list[str]]], float]:
    """Return the choices of the points that a supernet ranks first, and the seconds that it took.

    Args:
        instance: The table.
        stages: Of the run: a supernet is trained once.
        budget: Of the study, in words.
        deadline: Of the monotonic clock; where the supernet meets it, there is no point.
    """
    strategy, ranked = ranking_strategy(_EVALUATIONS, _PROPOSED)
    recipe = instance.recipe

    def compute(observer: Observer, resume: State | None) -> State:
        began, space = time.perf_counter(), instance.space()
        ends = Until(observer, deadline)
        try:
            search(
                space,
                watched(instance.search_task),
                strategy,
                recipe.training("search"),
                seed=recipe.seed,
                observer=ends,
                resume=resume,
            )
        except (OutOfTime, SearchError):
            ranked.clear()
        found = [space.genotype(space.canonical(point)) for point in ranked]
        choices = [{name: list(names) for name, names in genotype.choices.items()} for genotype in found]
        return {"choices": choices, "seconds": time.perf_counter() - began}

    made = stages.run("supernet", compute, [_EVALUATIONS, _PROPOSED, budget])
    choices: list[dict[str, Any]] = made["choices"]
    return choices, float(made["seconds"])

"""Tasks on tables: batches, loss and metrics."""

from typing import Protocol

import torch
from torch import Tensor

from nasp_core.types import Task
from sif.encodings.histories import Histories
from sif.tasks.ranking import RankingTask
from sif.tasks.ranking_settings import RankingSettings
from sif.tasks.rating import RatingTask, Scale

__all__ = ["OBJECTIVES", "Objective", "RankingSettings", "RankingTask", "RatingTask", "Scale", "TableTask", "watched"]

Objective = Scale | RankingSettings
"""What a network was trained for: ratings, standardised so, or a ranking."""
OBJECTIVES: tuple[type[Objective], ...] = (Scale, RankingSettings)
"""Each says its `key` in saved models, its `plain` form, and its `units`: from scores to ratings, or None."""


class TableTask(Task, Protocol):
    """A task on a table of users and items (and contexts)."""

    device: torch.device
    test_reads: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many users, items (and contexts) there are."""
        ...

    @property
    def objective(self) -> Objective:
        """What its networks are trained for, which serving goes by."""
        ...

    def counts(self) -> Tensor:
        """Return how often each id occurs in the training part, int64, all modes after one another."""
        ...

    def histories(self) -> Histories:
        """Return who met what in the training part, on `device`."""
        ...


def watched(task: Task, users: int = 1000, seed: int = 0) -> Task:
    """Return the task for watching trainings: where it can be `sampled`, validation judges some users alone.

    All else is shared, and what is reported is for the task itself to judge. Others are returned as they are: to judge
    ratings takes one pass over them.

    Args:
        task: The task.
        users: How many, at most.
        seed: Of the users: one seed, one sample.
    """
    sampled = getattr(task, "sampled", None)  # a task of your own need not have it
    made: Task = task if sampled is None else sampled(users, seed)
    return made

"""A training of less than an epoch: of a large table the first batches alone."""

from typing import Any, Literal

from nasp_core.types import Batch, Stream, Task
from sif.problems.tables import TableInstance

__all__ = ["LEAST", "shortened"]

LEAST = 20
"""Batches of a training, at least."""


class _First:
    """The first batches of a stream, over and over."""

    def __init__(self, stream: Stream, batches: int) -> None:
        self._stream, self._batches = stream, batches

    def __len__(self) -> int:
        return self._batches

    def batch(self, step: int) -> Batch:
        return self._stream.batch(step)


class _Begun:
    """A task whose training part is its first batches; all else is the task's."""

    def __init__(self, task: Task, share: float) -> None:
        self._task, self._share = task, share

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def stream(self, split: Literal["train", "valid"], batch_size: int, seed: int) -> Stream:
        """Return the batches of a part, of the training part the first ones."""
        stream = self._task.stream(split, batch_size, seed)
        batches = max(LEAST, round(self._share * len(stream)))
        return _First(stream, batches) if split == "train" and batches < len(stream) else stream


def shortened(task: Task, instance: TableInstance, fidelity: float) -> Task:
    """Return a task with the batches of a share of a schedule, where that is less than any rung and than an epoch.

    So is the first training of a large table, of which an epoch may be too much. Else the task comes back.

    Args:
        task: The whole.
        instance: The table under the settings of the training.
        fidelity: The share of its schedule.
    """
    share = instance.training({}).epochs * fidelity
    made: Any = _Begun(task, share)
    return made if fidelity < instance.problem.rungs[0] and share < 1 else task

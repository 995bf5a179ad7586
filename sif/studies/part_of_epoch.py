"""A training of less than an epoch: of a large table the first batches alone."""

from typing import Any, Literal

from nasp_core.optimise import Training
from nasp_core.types import Batch, Stream, Task

__all__ = ["LEAST", "part_of_epoch"]

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


def part_of_epoch(task: Task, training: Training, fidelity: float) -> Task:
    """Return a task that a share of a schedule, less than an epoch, is trained on; the task where that is more.

    Args:
        task: The whole.
        training: The whole schedule.
        fidelity: The share of it.
    """
    share = training.epochs * fidelity
    made: Any = _Begun(task, share)
    return task if share >= 1 else made

"""Tasks: batches, loss and metrics."""

from sif.tasks.rating import RatingTask, Scale

__all__ = ["RatingTask", "Scale"]

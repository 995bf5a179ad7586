"""Tasks: batches, loss and metrics."""

from sif.tasks.image import Augment, ImageTask, halves
from sif.tasks.rating import RatingTask, Scale
from sif.tasks.text import TextTask

__all__ = ["Augment", "ImageTask", "RatingTask", "Scale", "TextTask", "halves"]

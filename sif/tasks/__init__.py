"""Tasks: batches, loss and metrics."""

from sif.tasks.image import Augment, Cut, ImageTask, cut_training
from sif.tasks.rating import RatingTask, Scale
from sif.tasks.text import TextTask

__all__ = ["Augment", "Cut", "ImageTask", "RatingTask", "Scale", "TextTask", "cut_training"]

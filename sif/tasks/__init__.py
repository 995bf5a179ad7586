"""Tasks: batches, loss and metrics."""

from sif.tasks.image import Augment, Cut, ImageTask, cut_training
from sif.tasks.ranking import RankingTask
from sif.tasks.ranking_settings import RankingSettings
from sif.tasks.rating import RatingTask, Scale
from sif.tasks.text import TextTask

__all__ = [
    "Augment",
    "Cut",
    "ImageTask",
    "RankingSettings",
    "RankingTask",
    "RatingTask",
    "Scale",
    "TextTask",
    "cut_training",
]

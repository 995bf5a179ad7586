"""Tasks on tables: batches, loss and metrics."""

from sif.tasks.ranking import RankingTask
from sif.tasks.ranking_settings import RankingSettings
from sif.tasks.rating import RatingTask, Scale

__all__ = ["RankingSettings", "RankingTask", "RatingTask", "Scale"]

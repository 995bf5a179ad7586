"""Evaluation beyond a task's own metric: how well scores rank the catalogue (`rank_metrics`, `rank_per_user`)."""

from sif.evaluate.ranking import METRICS, rank_metrics, rank_per_user

__all__ = ["METRICS", "rank_metrics", "rank_per_user"]

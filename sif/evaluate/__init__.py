"""Evaluation beyond a task's own metric: how well scores rank the catalogue (`rank_metrics`)."""

from sif.evaluate.ranking import METRICS, rank_metrics

__all__ = ["METRICS", "rank_metrics"]

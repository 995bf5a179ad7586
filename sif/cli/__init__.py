"""The command line: the only place that prints, reads argv or the environment. One file a verb."""

import logging

import pooch

from sif.cli import benchmark, catalogue, compare, doctor, export, recommend, runs, score, search, strategies, table
from sif.cli.app import app

__all__ = [
    "app",
    "benchmark",
    "catalogue",
    "compare",
    "doctor",
    "export",
    "main",
    "recommend",
    "runs",
    "score",
    "search",
    "strategies",
    "table",
]


def main() -> None:
    """Run `sif`."""
    pooch.get_logger().setLevel(logging.WARNING)  # a logger of its own: logging.getLogger does not know it
    app()

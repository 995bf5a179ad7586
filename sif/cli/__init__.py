"""The command line: the only place that prints, reads argv or the environment. One file a verb."""

from sif.cli.app import app, main

__all__ = ["app", "main"]

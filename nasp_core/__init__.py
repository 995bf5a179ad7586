"""Proximal neural architecture search, for any space, task and strategy; needs torch alone."""

from pathlib import Path

# Modules of 0.1.0's first form that have moved are still found, each with a warning that says where it is now.
__path__.append(str(Path(__file__).parent / "_moved"))

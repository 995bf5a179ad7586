"""Moved to `nasp_core.methods`."""

from nasp_core._moved import moved

__getattr__ = moved("nasp_core.strategies", "nasp_core.methods")

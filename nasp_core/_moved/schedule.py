"""Moved to `nasp_core.parts`, and to `nasp_core.methods` for parts of one method alone."""

from nasp_core._moved import moved

__getattr__ = moved("nasp_core.schedule", "nasp_core.parts", "nasp_core.methods")

"""Moved to `nasp_core.proxies`."""

from nasp_core._moved import moved

__getattr__ = moved("nasp_core.scores", "nasp_core.proxies")

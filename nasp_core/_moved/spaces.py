"""Moved to the package that searches these spaces: interaction functions and cells."""

from nasp_core._moved import moved

_ROOMS = ("spaces", "operations", "encodings", "tasks.queries", "cells.convolution", "cells.recurrent")
__getattr__ = moved("nasp_core.spaces", *(f"sif.{room}" for room in _ROOMS))

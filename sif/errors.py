"""The exceptions of `sif`: all derive from `nasp_core.errors.NaspError`, the one base the command line catches."""

from nasp_core.errors import NaspError

__all__ = ["DataError", "RaceError", "RecipeError", "RunError", "SifError", "WriteError"]


class SifError(NaspError):
    """Base of the errors that `sif` raises for bad input."""


class DataError(SifError, ValueError):
    """A data file, frame or matrix cannot be used; the text names the file, the line and the fix."""


class RecipeError(SifError):
    """A recipe has problems; all of them are listed, each with its line."""


class RunError(SifError):
    """A run directory is missing, incomplete, or of another kind than the command needs."""


class WriteError(RunError, OSError):
    """A file cannot be written; an `OSError` too, for those who catch that."""


class RaceError(SifError):
    """A race of strategies cannot be run as it was asked for, or its folder holds another one."""

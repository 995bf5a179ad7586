"""Bridges to other libraries, imported where they are used: `sif.integrations.recbole`, `sif.integrations.implicit`."""

from sif.errors import SifError

__all__ = ["IntegrationError"]


class IntegrationError(SifError):
    """Another library is missing, or cannot do here what it was asked for; the text says why, and what to do."""

"""How the final selection is read: one rule a file."""

from nasp_core.select.argmax import Argmax

__all__ = ["Argmax"]

"""Where alpha lives: one domain a file."""

from nasp_core.domain.box import Box
from nasp_core.domain.logits import Logits

__all__ = ["Box", "Logits"]

"""How the final selection is read: one rule a file."""

from nasp_core.select.argmax import Argmax
from nasp_core.select.ranking import Ranking

__all__ = ["Argmax", "Ranking"]

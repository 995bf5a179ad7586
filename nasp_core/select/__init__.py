"""How the final selection is read: one rule a file."""

from nasp_core.select.argmax import Argmax
from nasp_core.select.by_score import ByScore
from nasp_core.select.explore import Explore
from nasp_core.select.perturbation import Perturbation
from nasp_core.select.ranking import Ranking
from nasp_core.select.shortlist import Shortlist

__all__ = ["Argmax", "ByScore", "Explore", "Perturbation", "Ranking", "Shortlist"]

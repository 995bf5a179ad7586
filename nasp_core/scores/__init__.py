"""Training-free scores: a number for an untrained network, one rule a file."""

from nasp_core.scores.grad_norm import GradNorm
from nasp_core.scores.naswot import Naswot
from nasp_core.scores.protocol import Score
from nasp_core.scores.synflow import Synflow
from nasp_core.scores.table import SCORES, make_score

__all__ = ["SCORES", "GradNorm", "Naswot", "Score", "Synflow", "make_score"]

"""Training-free scores: a number for an untrained network, one rule a file."""

from nasp_core.scores.fisher import Fisher
from nasp_core.scores.freedarts import FreeDarts, saliency, summed
from nasp_core.scores.grad_norm import GradNorm
from nasp_core.scores.grasp import Grasp
from nasp_core.scores.jacob_cov import JacobCov
from nasp_core.scores.linear_regions import LinearRegions
from nasp_core.scores.naswot import Naswot
from nasp_core.scores.ntk import Ntk
from nasp_core.scores.points import SupernetScore, score_judge, score_point
from nasp_core.scores.protocol import Score
from nasp_core.scores.snip import Snip
from nasp_core.scores.synflow import Synflow
from nasp_core.scores.table import SCORES, make_score

__all__ = [
    "SCORES",
    "Fisher",
    "FreeDarts",
    "GradNorm",
    "Grasp",
    "JacobCov",
    "LinearRegions",
    "Naswot",
    "Ntk",
    "Score",
    "Snip",
    "SupernetScore",
    "Synflow",
    "make_score",
    "saliency",
    "score_judge",
    "score_point",
    "summed",
]

"""How alpha learns: one gradient a file."""

from nasp_core.gradient.bayesian import Bayesian
from nasp_core.gradient.exponentiated import Exponentiated
from nasp_core.gradient.first_order import FirstOrder
from nasp_core.gradient.greedy_filter import GreedyFilter
from nasp_core.gradient.implicit import Amended, Implicit
from nasp_core.gradient.natural import Natural
from nasp_core.gradient.no_gradient import NoGradient
from nasp_core.gradient.saliency import Saliency
from nasp_core.gradient.score_function import ScoreFunction
from nasp_core.gradient.shapley import Shapley
from nasp_core.gradient.single_level import SingleLevel
from nasp_core.gradient.twin import Twin
from nasp_core.gradient.unrolled import Unrolled

__all__ = [
    "Amended",
    "Bayesian",
    "Exponentiated",
    "FirstOrder",
    "GreedyFilter",
    "Implicit",
    "Natural",
    "NoGradient",
    "Saliency",
    "ScoreFunction",
    "Shapley",
    "SingleLevel",
    "Twin",
    "Unrolled",
]

"""How alpha becomes a mixture: one relaxation a file."""

from nasp_core.relax.categorical import Categorical, CategoricalShares
from nasp_core.relax.dirichlet import Dirichlet
from nasp_core.relax.fair_turns import FairTurns
from nasp_core.relax.grouped import Grouped
from nasp_core.relax.gumbel import GumbelHard, GumbelSoftmax
from nasp_core.relax.one_hot import OneHot, on_host
from nasp_core.relax.perturbed import GaussianSoftmax, Neighbourhood
from nasp_core.relax.pinned import Pinned
from nasp_core.relax.softmax import Softmax
from nasp_core.relax.uniform import FairRounds, Pooled, Uniform
from nasp_core.relax.weighted_edges import WeightedEdges
from nasp_core.relax.weights import Gates, Weights

__all__ = [
    "Categorical",
    "CategoricalShares",
    "Dirichlet",
    "FairRounds",
    "FairTurns",
    "Gates",
    "GaussianSoftmax",
    "Grouped",
    "GumbelHard",
    "GumbelSoftmax",
    "Neighbourhood",
    "OneHot",
    "Pinned",
    "Pooled",
    "Softmax",
    "Uniform",
    "WeightedEdges",
    "Weights",
    "on_host",
]

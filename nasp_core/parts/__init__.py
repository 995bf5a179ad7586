"""The parts that two methods or more share; those that one method alone uses stand in its file."""

from nasp_core.parts.argmax import Argmax
from nasp_core.parts.box import Box
from nasp_core.parts.by_adam import ByAdam
from nasp_core.parts.by_proxy import ByProxy
from nasp_core.parts.by_rule import ByRule
from nasp_core.parts.categorical import Categorical
from nasp_core.parts.complexity import Complexity
from nasp_core.parts.edges import EdgeLogits
from nasp_core.parts.fair_turns import FairTurns
from nasp_core.parts.first_order import FirstOrder
from nasp_core.parts.gumbel_hard import GumbelHard
from nasp_core.parts.logits import Logits
from nasp_core.parts.no_gradient import NoGradient
from nasp_core.parts.one_hot import OneHot
from nasp_core.parts.partial_channels import PartialChannels
from nasp_core.parts.pinned import Pinned
from nasp_core.parts.pruning import Prune, Shrink
from nasp_core.parts.simplex import Simplex
from nasp_core.parts.single_level import SingleLevel
from nasp_core.parts.softmax import Dense, Softmax
from nasp_core.parts.start_at import StartAt
from nasp_core.parts.switches import Switches
from nasp_core.parts.temperature import Temperature
from nasp_core.parts.uniform import Uniform
from nasp_core.parts.weights import Weights

__all__ = [
    "Argmax",
    "Box",
    "ByAdam",
    "ByProxy",
    "ByRule",
    "Categorical",
    "Complexity",
    "Dense",
    "EdgeLogits",
    "FairTurns",
    "FirstOrder",
    "GumbelHard",
    "Logits",
    "NoGradient",
    "OneHot",
    "PartialChannels",
    "Pinned",
    "Prune",
    "Shrink",
    "Simplex",
    "SingleLevel",
    "Softmax",
    "StartAt",
    "Switches",
    "Temperature",
    "Uniform",
    "Weights",
]

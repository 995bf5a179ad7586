"""The parts that two methods or more share; those that one method alone uses stand in its file."""

from nasp_core.parts.domains import Box, EdgeLogits, Logits, Simplex, Switches
from nasp_core.parts.gradients import ByAdam, ByRule, FirstOrder, NoGradient, SingleLevel
from nasp_core.parts.hooks import PartialChannels
from nasp_core.parts.mixtures import Dense, OneHot, Softmax, Weights
from nasp_core.parts.samples import Categorical, FairTurns, GumbelHard, Pinned, Uniform
from nasp_core.parts.schedules import Complexity, Prune, Shrink, StartAt, Temperature
from nasp_core.parts.selects import Argmax, ByProxy

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

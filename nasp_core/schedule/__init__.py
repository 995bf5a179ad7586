"""What changes as a search goes on, and what is penalised: one schedule a file."""

from nasp_core.schedule.complexity import Complexity
from nasp_core.schedule.due import StartAt, Untrained
from nasp_core.schedule.prices import DirichletPrior, GatePrice, Relevance
from nasp_core.schedule.pruning import BestOfEach, Prune, Shrink
from nasp_core.schedule.temperature import Temperature

__all__ = [
    "BestOfEach",
    "Complexity",
    "DirichletPrior",
    "GatePrice",
    "Prune",
    "Relevance",
    "Shrink",
    "StartAt",
    "Temperature",
    "Untrained",
]

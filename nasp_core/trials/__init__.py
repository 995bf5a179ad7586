"""Multi-trial strategies: they propose architectures and learn from their scores, behind one ask/tell protocol."""

from nasp_core.trials.enumeration import Enumerate
from nasp_core.trials.explore import TrialResult, explore
from nasp_core.trials.protocol import Proposal, SearchContext, TrialStrategy
from nasp_core.trials.random import Random
from nasp_core.trials.table import TRIALS

__all__ = ["TRIALS", "Enumerate", "Proposal", "Random", "SearchContext", "TrialResult", "TrialStrategy", "explore"]

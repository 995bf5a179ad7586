"""Multi-trial strategies: they propose architectures and learn from their scores, behind one ask/tell protocol."""

from collections.abc import Mapping

from nasp_core.trials.enumeration import Enumerate
from nasp_core.trials.explore import TrialResult, explore
from nasp_core.trials.protocol import Proposal, SearchContext, TrialStrategy
from nasp_core.trials.random import Random

__all__ = ["TRIALS", "Enumerate", "Proposal", "Random", "SearchContext", "TrialResult", "TrialStrategy", "explore"]

TRIALS: Mapping[str, str] = {
    "random": "nasp_core.trials.random:Random",
    "enumerate": "nasp_core.trials.enumeration:Enumerate",
    "evolution": "nasp_core.trials.evolution:Evolution",
    "local-search": "nasp_core.trials.local_search:LocalSearch",
    "reinforce": "nasp_core.trials.reinforce:Reinforce",
    "tpe": "nasp_core.trials.tpe:Tpe",
    "asha": "nasp_core.trials.asha:Asha",
    "weak-predictor": "nasp_core.trials.weak_predictor:WeakPredictor",
    "bayes-wl": "nasp_core.trials.bayes_wl:BayesWl",
    "anasod": "nasp_core.trials.anasod:Anasod",
    "nao": "nasp_core.trials.nao:Nao",
    "screen": "nasp_core.trials.screen:Screen",
}
"""Where the multi-trial strategies are, by name; `nasp_core.methods` has these and the one-shot ones in one table."""

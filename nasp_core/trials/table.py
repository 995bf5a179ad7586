"""Where the multi-trial strategies are, by name; `nasp_core.methods` has these and the one-shot ones in one table."""

from collections.abc import Mapping

__all__ = ["TRIALS"]

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

"""The trial strategies by name; `nasp_core.strategies` has these and the relaxing ones in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nasp_core.trials.anasod import Anasod
from nasp_core.trials.asha import Asha
from nasp_core.trials.bayes_wl import BayesWl
from nasp_core.trials.enumeration import Enumerate
from nasp_core.trials.evolution import Evolution
from nasp_core.trials.local_search import LocalSearch
from nasp_core.trials.nao import Nao
from nasp_core.trials.protocol import TrialStrategy
from nasp_core.trials.random import Random
from nasp_core.trials.reinforce import Reinforce
from nasp_core.trials.screen import Screen
from nasp_core.trials.tpe import Tpe
from nasp_core.trials.weak_predictor import WeakPredictor

__all__ = ["TRIALS"]

TRIALS: Mapping[str, Callable[..., TrialStrategy]] = {
    "random": Random,
    "enumerate": Enumerate,
    "evolution": Evolution,
    "local-search": LocalSearch,
    "reinforce": Reinforce,
    "tpe": Tpe,
    "asha": Asha,
    "weak-predictor": WeakPredictor,
    "bayes-wl": BayesWl,
    "anasod": Anasod,
    "nao": Nao,
    "screen": Screen,
}

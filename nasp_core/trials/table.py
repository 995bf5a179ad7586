"""The trial strategies by name; `nasp_core.strategies` has these and the relaxing ones in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nasp_core.trials.enumeration import Enumerate
from nasp_core.trials.protocol import TrialStrategy
from nasp_core.trials.random import Random

__all__ = ["TRIALS"]

TRIALS: Mapping[str, Callable[..., TrialStrategy]] = {
    "random": Random,
    "enumerate": Enumerate,
}

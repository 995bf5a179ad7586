"""Rungs: many configurations are trained on a short schedule, the best third of them on a longer one."""

from collections.abc import Sequence

from sif.studies.configuration import Configuration
from sif.studies.trials import StudyTrial, Trials

__all__ = ["Rungs"]

_KEPT = 3  # one of so many goes on to the next rung


class Rungs:
    """Which configuration goes on: asynchronous successive halving (Li et al. 2020), on what was trained so far.

    Attributes:
        shares: of a full schedule, rising, the last of them 1.
    """

    def __init__(self, trials: Trials, shares: Sequence[float], maximise: bool) -> None:
        """Take what is trained.

        Args:
            trials: Those of the study.
            shares: Of a full schedule, rising, the last of them 1.
            maximise: Whether more is better.
        """
        self._trials, self.shares, self._sign = trials, tuple(shares), -1.0 if maximise else 1.0

    def promoted(self) -> tuple[Configuration, int] | None:
        """Return the best of a rung's first third that is not on the next yet, and that one; the highest rung first."""
        for rung in reversed(range(len(self.shares) - 1)):
            share = self.shares[rung]  # what was cut above counts too: it took far more than others
            above = {trial.configuration.key for trial in self._trials.done if trial.fidelity > share}
            here = self._at(rung)
            for trial in here[: len(here) // _KEPT]:
                if trial.configuration.key not in above:
                    return trial.configuration, rung + 1
        return None

    def unfinished(self) -> Configuration | None:
        """Return the best configuration that was not trained in full, of the highest rung that has one."""
        full = {trial.configuration.key for trial in self._trials.done if trial.fidelity == 1 and not trial.cut}
        for rung in reversed(range(len(self.shares) - 1)):
            for trial in self._at(rung):
                if trial.configuration.key not in full:
                    return trial.configuration
        return None

    def _at(self, rung: int) -> list[StudyTrial]:
        """Return the trials of a rung that have a value, the best first."""
        share = self.shares[rung]
        there = [trial for trial in self._trials.done if trial.fidelity == share and trial.value is not None]
        return sorted(there, key=lambda trial: self._sign * (trial.value or 0.0))

"""Ask for configurations, tell their results: proposals of the surrogate, on Optuna's engine."""

import math
from typing import Any

from nasp_core.trials.from_optuna import new_study
from sif.errors import RunError
from sif.studies.configuration_space import ConfigurationSpace, PlainConfiguration

__all__ = ["ConfigurationSampler"]


class ConfigurationSampler:
    """Propose configurations of a space, each once.

    What it proposes follows from the space, the seed and the results told, in order: a sampler that is made again and
    told the same goes on as if nothing had been.

        sampler = ConfigurationSampler(space, seed=0)
        while (configuration := sampler.ask()) is not None:
            sampler.tell(configuration, validated(configuration))

    Args:
        space: The configurations.
        seed: Of all that is random.
        startup: Results before the first model.
    """

    def __init__(self, space: ConfigurationSpace, seed: int = 0, *, startup: int = 10) -> None:
        self.space = space
        import optuna  # here, for it takes half a second

        from sif.studies import optuna_trials
        from sif.studies.surrogate_sampler import SurrogateSampler

        self._trials = optuna_trials
        self._study = new_study(optuna, sampler=SurrogateSampler(space, seed, startup))
        self._waiting: dict[str, int] = {}  # numbers of the trials without a result
        self._told: set[str] = set()

    def ask(self) -> PlainConfiguration | None:
        """Return the next configuration to try, None when the space has no other; what was asked need not be told."""
        configuration = self._trials.draw(self._study, self.space)
        key = self.space.key(configuration)
        if key in self._told or key in self._waiting:  # there is no other
            return None
        self._waiting[key] = self._trials.record(self._study, self.space, configuration, None, 1.0)
        return configuration

    def tell(self, configuration: Any, value: float, fidelity: float = 1.0) -> None:
        """Learn the result of a configuration, whoever proposed it; it may be told at several fidelities.

        Args:
            configuration: Plain data (`PlainConfiguration`).
            value: The larger the better; what is not finite is a training that failed.
            fidelity: The share of the full schedule that it was trained on, in (0, 1].

        Raises:
            RecipeError: It does not belong to the space.
            RunError: The fidelity is not in (0, 1].
        """
        if not 0 < fidelity <= 1:
            raise RunError(f"fidelity = {fidelity!r}; give the share of the full schedule: above 0, up to 1")
        known = self.space.check(configuration, "a told configuration")
        key, value = self.space.key(known), float(value) if math.isfinite(value) else -math.inf
        if key in self._waiting:
            self._trials.give_up(self._study, self._waiting.pop(key))
        self._trials.record(self._study, self.space, known, value, fidelity)
        self._told.add(key)

    def forget(self) -> None:
        """Let what was asked and not told be as if it had not been asked."""
        for number in self._waiting.values():
            self._trials.give_up(self._study, number)
        self._waiting.clear()
